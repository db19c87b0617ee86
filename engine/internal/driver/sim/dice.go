package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"reflect"
	"time"
)

// Fault names one fault that the dice chose. The name is the same in all runs of a seed, however
// many other faults Config.Keep holds back: chances are counted for each kind of fault and each
// place.
type Fault struct {
	Name   string // the field of Faults
	At     string // a driver, a listener, a connection or one direction of it
	Chance int    // which of the chances of this kind and place, from 1
}

func (f Fault) String() string { return fmt.Sprintf("%s at %s, chance %d", f.Name, f.At, f.Chance) }

// place is where faults happen. Each place has its own dice for each kind of fault. A fault that
// does not happen then changes nothing in what is drawn elsewhere.
type place struct {
	name string
	dice map[*int]*die // by the counter of the fault; nil is the one for what is not a fault
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

// name returns the name of the field that count points to.
func (c *Counts) name(count *int) string {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if v.Field(i).Addr().Interface() == any(count) {
			return v.Type().Field(i).Name
		}
	}
	return ""
}

// hit throws the dice for one fault, counts it, and reports whether it happens. What else there is
// to draw about the fault comes from n.rng.
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

// coin draws what a kernel may do either way.
func (n *Network) coin(at *place) bool { return n.die(at, nil).rng.IntN(2) == 0 }

// upTo draws a duration from 1 ns to limit, or to standard if limit is 0.
func (n *Network) upTo(limit, standard time.Duration) time.Duration {
	if limit <= 0 {
		limit = standard
	}
	return 1 + time.Duration(n.rng.Int64N(int64(limit)))
}
