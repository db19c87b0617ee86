package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"reflect"
	"time"
)

// Fault names one fault that the dice chose. The name is the same in all runs of a seed, however many other faults
// Config.Keep holds back: chances are counted for each kind of fault and each place on their own.
type Fault struct {
	Name   string // the field of Faults
	At     string // a driver, a listener, a connection or one direction of it
	Chance int    // which of the chances of this kind and place, from 1
}

func (f Fault) String() string { return fmt.Sprintf("%s at %s, chance %d", f.Name, f.At, f.Chance) }

// place is where faults happen. Each has its own dice for each kind of fault, so that a fault that does not happen
// changes nothing in what is drawn elsewhere.
type place struct {
	name string
	dice map[*int]*die // by the counter of the fault; nil: the one for what is no fault
}

type die struct {
	rng   *rand.Rand
	fault Fault
}

func (n *Network) die(at *place, count *int) *die {
	d := at.dice[count]
	if d == nil {
		f := Fault{Name: n.counts.name(count), At: at.name}
		h := fnv.New64a()
		io.WriteString(h, f.Name+" "+f.At)
		d = &die{rand.New(rand.NewPCG(n.cfg.Seed, h.Sum64())), f}
		if at.dice == nil {
			at.dice = map[*int]*die{}
		}
		at.dice[count] = d
	}
	return d
}

// name is the field that count points to.
func (c *Counts) name(count *int) string {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if v.Field(i).Addr().Interface() == any(count) {
			return v.Type().Field(i).Name
		}
	}
	return ""
}

// hit throws the dice for one fault and counts it. What else there is to draw about the fault comes from n.rng.
func (n *Network) hit(at *place, p float64, count *int) bool {
	if p <= 0 {
		return false
	}
	d := n.die(at, count)
	d.fault.Chance++
	if d.rng.Float64() >= p {
		return false
	}
	n.source.Seed(d.rng.Uint64(), 0)
	if n.cfg.Keep != nil && !n.cfg.Keep(d.fault) {
		return false
	}
	*count++
	if n.cfg.Trace > 0 {
		n.note("fault: %v", d.fault)
	}
	return true
}

// coin is for what a kernel may do either way.
func (n *Network) coin(at *place) bool { return n.die(at, nil).rng.IntN(2) == 0 }

// upTo draws a duration from 1 ns to most, or to standard if most is 0.
func (n *Network) upTo(most, standard time.Duration) time.Duration {
	if most <= 0 {
		most = standard
	}
	return 1 + time.Duration(n.rng.Int64N(int64(most)))
}
