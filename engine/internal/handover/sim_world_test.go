package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// place is where a connection is in one of the processes.
type place uint8

const (
	nowhere place = iota
	served        // owned, and read from
	frozen        // the giver's: posted; the taker's: prepared
	left          // the giver's: closed, because the taker has it; the taker's: dropped or refused
)

// simConn is a connection.
type simConn struct {
	fd     int // at the giver
	at     place
	in     place // at the taker
	taken  int   // its descriptor at the taker
	owned  bool  // by the taker, ever
	stays  bool  // refused
	stream uint32
}

// world is a giver, a taker, and their engines.
type world struct {
	rng      *rand.Rand
	now      time.Time
	began    time.Time
	old, new *simProcess
	giver    *Giver
	taker    *Taker
	fair     bool // nothing happens that justifies an end halfway
	lazy     bool // the giver's engine waits for half a minute
	refuses  bool // the taker has refused
	cancelIn int  // steps, until one of the processes cancels; <= 0: never
	nested   bool // a process acts within another one's system call
	restless bool // processes step without a reason
	slow     int  // the taker's engine acts in one of so many turns
	corrupt  bool // a peer is faulty: who owns what is not checked
	giverEnd bool // its Run has returned
	takerEnd bool // its last call has returned
	conns    []*simConn
	sockets  []int // listeners at the giver
	copies   []int // listeners at the taker
	versions [2]uint32

	ready     bool // at the giver
	finish    bool
	resumed   bool // the giver accepts again
	accepts   bool // the taker
	listed    bool
	decided   bool
	posted    int
	settled   int
	prepared  []*Incoming
	owned     []*Incoming // and not released
	outcome   string
	giverPlan plan
	takerPlan plan
	errs      []error
}

func (w *world) failf(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

const simStreams = 3

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 17))
	limits := []int{1, 40, 300, 5000, 200_000}
	w := &world{rng: rng, now: time.Unix(1e9, 0), fair: rng.IntN(3) == 0, lazy: rng.IntN(10) == 0}
	w.corrupt = !w.fair && rng.IntN(10) == 0
	w.began = w.now
	w.restless, w.slow = rng.IntN(2) == 0, []int{1, 5, 5, 300}[rng.IntN(4)]
	if w.fair {
		w.slow = min(w.slow, 5)
	}
	queues := [2]*simQueue{}
	for i := range queues {
		queues[i] = &simQueue{limit: limits[rng.IntN(len(limits))], readable: true, writable: true}
	}
	process := func(name string, in, out *simQueue) *simProcess {
		p := &simProcess{name: name, rng: rng, alive: true, table: map[int]object{}, next: 10, in: in, out: out}
		p.faults = simFaults{partial: rng.IntN(60), again: rng.IntN(40), tooMany: rng.IntN(40)}
		if rng.IntN(3) == 0 {
			p.faults = simFaults{}
		}
		return p
	}
	w.old, w.new = process("giver", queues[0], queues[1]), process("taker", queues[1], queues[0])
	if w.corrupt {
		p := []*simProcess{w.old, w.new}[rng.IntN(2)]
		p.faults.corrupt = 1 + rng.IntN([]int{30, 300, 3000}[rng.IntN(3)])
	}
	if p := []*simProcess{w.old, w.new, nil, nil}[rng.IntN(4)]; p != nil && !w.fair {
		p.killAt = 1 + rng.IntN([]int{30, 300, 3000}[rng.IntN(3)])
	}
	if p := []*simProcess{w.old, w.new, nil, nil}[rng.IntN(4)]; p != nil && !w.fair {
		p.stopAt = 1 + rng.IntN([]int{30, 300, 3000}[rng.IntN(3)])
	}
	if !w.fair && rng.IntN(5) == 0 {
		w.cancelIn = 1 + rng.IntN(300)
	}
	w.old.others = func() { w.meanwhile(func() { w.stepTaker() }) }
	w.new.others = func() { w.meanwhile(func() { w.stepGiver() }) }
	for range rng.IntN(30) {
		c := &simConn{at: served, stream: uint32(rng.IntN(simStreams))}
		c.fd = w.old.open(object(len(w.conns)))
		w.conns = append(w.conns, c)
	}
	w.versions = [2]uint32{7, 7}
	if rng.IntN(8) == 0 {
		w.versions[1] = 8
	}
	w.newGiver()
	w.taker = NewTaker(simEnd{w.new}, TakerConfig{
		StateVersion: w.versions[1], Accept: w.accept, Prepare: w.prepare, Own: w.own, Drop: w.drop,
	})
	return w
}

func (w *world) newGiver() {
	var ls []Listener
	for i := range 1 + w.rng.IntN(3) {
		l := Listener{Network: "tcp", Address: fmt.Sprint("address ", i), Meta: make([]byte, w.rng.IntN(100))}
		for range []int{1, 2, MaxDescriptors + 5}[min(w.rng.IntN(12), 2)%3] {
			l.FDs = append(l.FDs, w.old.open(object(-1-i)))
		}
		w.sockets = append(w.sockets, l.FDs...)
		ls = append(ls, l)
	}
	w.giver = NewGiver(simEnd{w.old}, GiverConfig{
		StateVersion: w.versions[0], Listeners: ls, Secrets: []byte("a secret"), Queue: 1 + w.rng.IntN(6),
		Ready: func(only bool) {
			if only != (w.versions[0] != w.versions[1]) && !w.corrupt {
				w.failf("giver: Ready says %v", only)
			}
			w.ready = true
		},
		Settled: w.settle,
	})
}

// state is what a connection takes along.
func state(c int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(c))
	for i := range c * c * c % 700 {
		b = append(b, byte(i*c))
	}
	return b
}

// post is a turn of one of the giver's loops.
func (w *world) post() {
	stream := uint32(w.rng.IntN(simStreams))
	b := &Batch{Stream: stream}
	var moved []int
	limit := 1 + w.rng.IntN(5)
	for i, c := range w.conns {
		if c.at == served && !c.stays && c.stream == stream && len(moved) < limit {
			moved = append(moved, i)
			b.Items = append(b.Items, Item{FD: c.fd, State: state(i)})
		}
	}
	if len(moved) == 0 {
		return
	}
	b.Data = moved
	err := w.giver.Post(b)
	switch {
	case err == nil:
		w.posted++
		if !w.old.woken {
			w.failf("giver: Post does not wake it")
		}
		for _, i := range moved {
			w.conns[i].at = frozen
		}
	case errors.Is(err, ErrFull):
	case errors.Is(err, ErrOver):
		if w.giver.state != ended && !w.finish && w.versions[0] == w.versions[1] && !w.corrupt {
			w.failf("giver: Post returns ErrOver")
		}
	default:
		w.failf("giver: Post: %v", err)
	}
}

func (w *world) settle(b *Batch) {
	w.settled++
	for j, i := range b.Data.([]int) {
		c := w.conns[i]
		if c.at != frozen {
			w.failf("giver: [%d] is settled twice", i)
		}
		if b.Taken.Has(j) {
			c.at = left
			w.old.close(c.fd)
			continue
		}
		c.at, c.stays = served, true
	}
	if w.ready && w.rng.IntN(2) == 0 {
		w.post()
	}
}

// prepare looks at a batch, as the taker's loops would.
func (w *world) prepare(b *Incoming) {
	if !w.accepts {
		w.failf("taker: Prepare before Accept")
	}
	var mine []int
	for _, it := range b.Items {
		i := int(w.new.table[it.FD])
		mine = append(mine, i)
		if w.corrupt {
			continue
		}
		if string(it.State) != string(state(i)) {
			w.failf("taker: [%d] comes with the state of another one", i)
			continue
		}
		c := w.conns[i]
		if c.in != nowhere || c.stream != b.Stream {
			w.failf("taker: [%d] comes twice, or in stream [%d] of [%d]", i, b.Stream, c.stream)
		}
		c.in, c.taken = frozen, it.FD
	}
	b.Data = mine
	if w.rng.IntN(3) == 0 {
		w.answer(b)
		return
	}
	w.prepared = append(w.prepared, b)
}

func (w *world) answer(b *Incoming) {
	var refuses Set
	for i := range b.Items {
		if w.rng.IntN(8) == 0 {
			refuses.Add(i)
		}
	}
	b.Acknowledge(refuses)
	if !w.new.woken && !w.takerEnd {
		w.failf("taker: Acknowledge does not wake it")
	}
}

func (w *world) own(b *Incoming, refuses Set) {
	for j, i := range b.Data.([]int) {
		if w.corrupt {
			if !refuses.Has(j) {
				w.new.close(b.Items[j].FD)
			}
			continue
		}
		c := w.conns[i]
		if c.in != frozen {
			w.failf("taker: owns [%d] twice", i)
		}
		if refuses.Has(j) {
			c.in = left
			continue
		}
		c.in, c.owned = served, true
	}
	w.owned = append(w.owned, b)
}

// land reads the states of what the taker owns, which must be what they were.
func (w *world) land(b *Incoming) {
	for j, i := range b.Data.([]int) {
		if !w.corrupt && string(b.Items[j].State) != string(state(i)) {
			w.failf("taker: the state of [%d] has changed", i)
		}
	}
	p := b.payload
	b.Release()
	if slices.ContainsFunc(p, func(c byte) bool { return c != 0 }) {
		w.failf("taker: a state is not wiped")
	}
}

func (w *world) drop(b *Incoming) {
	for _, i := range b.Data.([]int) {
		if w.corrupt {
			continue
		}
		c := w.conns[i]
		if c.in != frozen {
			w.failf("taker: drops [%d] in state [%d]", i, c.in)
		}
		c.in = left
	}
}

func (w *world) accept() { w.accepts = true }
