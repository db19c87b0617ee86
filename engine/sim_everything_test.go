package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSimulatedEverything: protocols, peers and other goroutines' requests do everything that the
// API allows, at random and under all faults. Whatever they do, what was accepted by Write arrives
// whole, in order and without a gap, calls come one at a time, Closed is the last one, timers are
// not early, the counters tell the truth, and nothing is left in the end.
//
// The bubble of synctest makes the few goroutines (of contexts, of Stats) deterministic: its clock
// follows the network's.
func TestSimulatedEverything(t *testing.T) {
	simulate(t, seeds(t), func(tr *trial) (err error) {
		synctest.Test(t, func(*testing.T) { err = simulation(everything).run(tr) })
		return err
	})
}

// world is one run of TestSimulatedEverything.
type world struct {
	tr     *trial
	rng    *rand.Rand
	net    *sim.Network
	eng    *engine.Engine
	ctx    context.Context // ends with the run
	since  time.Time       // the bubble's clock when the network's was 0
	failed error           // the first rule that was broken
	called string          // the user code that runs now
	low    int             // Config.LowWater

	listeners []*engine.Listener
	visitors  []*visitor
	byPort    map[uint16]*visitor
	byConn    map[*engine.Conn]*speaker
	speakers  []*speaker
	dials     []*dialled
	asked     int // Stats and Inspects that were not answered
	answers   chan func()
	most      int // visitors
	turns     int
	tasks     int
	calming   bool // peers send and read all; those that come later, too
	ending    bool // by Shutdown or Close
	broadcast uint32
	packets   packetWorld

	panics, accepts, refusals, yields uint64 // what the counters must say
	// droppable messages that did not reach a peer that got all there was
	unheard uint64
	dialled uint64
	closed  [engine.Causes]uint64
}

func (w *world) failf(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf(format, args...)
	}
}

// call marks a call of user code; what it returns marks the end. One call must never begin inside
// another.
func (w *world) call(what string) (end func()) {
	if w.called != "" {
		w.failf("%s was called inside %s", what, w.called)
	}
	w.called = what
	return func() { w.called = "" }
}

// boom panics, with an error of the engine's own or with a string: the counters must call it a
// panic all the same.
func (w *world) boom(rng *rand.Rand) {
	w.panics++
	if rng.IntN(2) == 0 {
		panic(engine.ErrOutboundLimit)
	}
	panic("boom")
}

// one in so many.
func one(rng *rand.Rand, in int) bool { return rng.IntN(in) == 0 }

// upTo is at least 1, most often small, and at most 1<<bits.
func upTo(rng *rand.Rand, bits int) int { return 1 + rng.IntN(1<<rng.IntN(bits+1)) }

func everything(tr *trial) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer synctest.Wait() // for those that cancel stops
	defer cancel()
	w := &world{tr: tr, ctx: ctx, rng: rand.New(rand.NewPCG(tr.seed, 17)), since: time.Now(),
		byPort: map[uint16]*visitor{}, byConn: map[*engine.Conn]*speaker{},
		answers: make(chan func(), 1000)}
	if err := w.build(); err != nil {
		return err
	}
	for range 100 + w.rng.IntN(250) {
		for range w.rng.IntN(3) {
			w.task()
		}
		if _, err := w.turn(); err != nil {
			return err
		}
	}
	if one(w.rng, 4) { // it ends in the middle of it all
		return w.end(sim.Faults{Tick: time.Millisecond})
	}
	w.net.SetFaults(sim.Faults{Tick: time.Millisecond})
	if err := w.calm(); err != nil {
		return err
	}
	return w.end(sim.Faults{Tick: time.Millisecond})
}

// turn does one round of everything.
func (w *world) turn() (live bool, err error) {
	for _, v := range w.visitors {
		v.step()
	}
	w.turns++
	before, polls := w.panics, w.net.Counts().Polls
	live = w.eng.Step()
	if w.net.Counts().Polls == polls {
		w.failf("no loop looks at the kernel in a turn")
	}
	for _, s := range w.speakers {
		s.hearsSoon()
		s.toldSoon()
	}
	w.packets.collect(w)
	// a goroutine may have something to do; the clock stands while it does
	if len(w.dials) > 0 || w.asked > 0 {
		time.Sleep(w.net.Now() - time.Since(w.since))
		w.listenTo()
	}
	// Else a connection may be on its way from loop to loop, of which the network knows nothing, or
	// a panic has left one to the next turn.
	if w.eng.StatsNow().Tasks == 0 && w.panics == before {
		if err := w.net.Check(); err != nil { // first: it may be why a call has panicked
			return live, err
		}
	}
	return live, errors.Join(w.failed, w.eng.Check())
}

// listenTo waits until no goroutine has anything to do, and takes what they have to tell.
func (w *world) listenTo() {
	for synctest.Wait(); len(w.answers) > 0; w.asked-- {
		(<-w.answers)()
	}
}

// calm lets peers send and read all, and looks whether they got it.
func (w *world) calm() error {
	for _, s := range w.speakers {
		s.conn.Handle().Post(func(c *engine.Conn) { c.ResumeRead() })
	}
	w.calming = true
	for _, v := range w.visitors {
		v.calm = true
	}
	var before uint64
	// the wire holds back for 50
	for still, last := 0, w.net.Now(); still < 20 || w.net.Now()-last < 60*time.Millisecond; still++ {
		if _, err := w.turn(); err != nil {
			return err
		}
		stats := w.eng.StatsNow()
		moved := stats.BytesRead + stats.BytesWritten
		for _, v := range w.visitors {
			moved += uint64(v.sent + v.in.bytes)
		}
		if moved != before {
			still, last, before = 0, w.net.Now(), moved
		}
		if w.tasks++; w.tasks > 3000 { // 64 KiB may lie in front of a receive buffer of one byte
			return nil
		}
	}
	for _, s := range w.speakers {
		if s.fin && !s.now.fin && !s.over() && !s.closing && !s.paused {
			return fmt.Errorf("%s: the Protocol that SetProtocol has set does not hear of the peer's FIN", s.name)
		}
	}
	for _, v := range w.visitors {
		if s := v.s; s != nil && !s.done && !v.gone && v.p.Err() == nil {
			if err := v.in.complete(s); err != nil {
				return fmt.Errorf("peer %v waits for ever: %w", v.p.Local(), err)
			}
		}
	}
	return nil
}

// end ends the engine, in order or abruptly, and looks for what is left.
func (w *world) end(calm sim.Faults) error {
	w.ending = true
	abrupt := w.rng.IntN(4)
	if abrupt != 1 {
		w.eng.BeginShutdown()
	}
	patience := w.net.Now() + 2*time.Minute
	for turn := 0; ; turn++ {
		if turn == 100 {
			w.net.SetFaults(calm)
			for _, v := range w.visitors {
				v.leave()
			}
		}
		if abrupt == 1 && turn == 0 || abrupt == 2 && turn == 20 {
			w.eng.BeginClose()
		}
		live, err := w.turn()
		if err != nil {
			return err
		}
		if !live {
			break
		}
		if w.net.Now() > patience {
			return errors.New("the engine does not end")
		}
	}
	if err := w.eng.Failed(); err != nil {
		return err
	}
	if n := w.net.Descriptors(); n != 0 {
		return fmt.Errorf("%d descriptors are left open", n)
	}
	for loop := range w.eng.Loops() {
		if err := w.eng.Left(loop); err != nil {
			return err
		}
	}
	w.refuses()
	w.listenTo()
	if w.asked > 0 {
		return fmt.Errorf("%d calls of Stats or Inspect were not answered", w.asked)
	}
	for _, v := range w.visitors {
		v.ended()
	}
	for _, s := range w.speakers {
		s.ended()
	}
	for _, d := range w.dials {
		if d.told != 1 {
			w.failf("done of dial %d was called %d times", d.number, d.told)
		}
	}
	w.packets.ended(w)
	w.counters()
	return w.failed
}
