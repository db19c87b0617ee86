package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSimulatedTickers: a Ticker is called on its schedule, never early, never two at once and
// never after Stop or the end of its loop. What it misses it counts. Unless the clock jumps, it is
// no later than the callbacks take that are called before the loop looks at the clock.
func TestSimulatedTickers(t *testing.T) { simulate(t, seeds(t), tickers) }

// ticked is a Ticker under simulation.
type ticked struct {
	period  time.Duration
	ticker  *engine.Ticker
	next    time.Duration // 0: it was not called yet
	added   time.Duration
	stopped bool
}

type ticking struct {
	rng   *rand.Rand
	net   *sim.Network
	eng   *engine.Engine
	all   []*ticked
	busy  bool          // a callback is in progress
	poll  time.Duration // how long a poll takes
	jumps bool          // the clock may jump, or user code panics
	err   error
}

// longestWork is the longest time that a callback takes.
const longestWork = 100 * time.Microsecond

// work is a callback that takes its time, during which the loop polls nothing.
func (w *ticking) work() {
	if w.busy {
		w.fail("a callback within another")
	}
	w.busy = true
	w.net.Advance(time.Duration(w.rng.Int64N(int64(longestWork))))
	w.busy = false
}

func (w *ticking) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// add starts a Ticker.
func (w *ticking) add() {
	k := &ticked{period: time.Duration(1+w.rng.IntN(50)) * time.Millisecond, added: w.net.Now()}
	var err error
	k.ticker, err = w.eng.NewTicker(0, k.period, func(tick engine.Tick) { w.tick(k, tick) })
	if err != nil {
		w.fail("NewTicker: %v", err)
	}
	w.all = append(w.all, k)
}

func (w *ticking) tick(k *ticked, tick engine.Tick) {
	switch now, limit := w.net.Now(), w.limit(); {
	case k.stopped:
		w.fail("called after Stop")
	case tick.Now > now || tick.Now < tick.Due || tick.Late() != tick.Now-tick.Due:
		w.fail("early: %+v at %v", tick, now)
	case k.next != 0 && tick.Due != k.next:
		w.fail("due at %v, want %v", tick.Due, k.next)
	case tick.Skipped != int(tick.Late()/k.period):
		w.fail("%+v with a period of %v", tick, k.period)
	case !w.jumps && tick.Late() > limit:
		w.fail("%v late, the limit is %v", tick.Late(), limit)
	}
	k.next = tick.Due + time.Duration(tick.Skipped+1)*k.period
	w.work()
	switch w.rng.IntN(40) {
	case 0:
		k.ticker.Stop()
		k.stopped = true
	case 1:
		w.add()
	case 2:
		if w.jumps { // the rest of the turn's step waits for the next turn
			panic("tick")
		}
	}
}

// limit is how late a tick may be: it waits for the other tickers, for a few deliveries, and for
// the polls of a turn.
func (w *ticking) limit() time.Duration {
	return time.Duration(8+len(w.all))*longestWork + 6*w.poll
}

func tickers(tr *trial) error {
	rng := rand.New(rand.NewPCG(tr.seed, 31))
	faults := sim.DrawFaults(tr.seed)
	w := &ticking{rng: rng, jumps: tr.seed%2 == 0, poll: faults.Tick}
	if !w.jumps {
		faults.Jump, faults.Stop = 0, 0
	}
	w.net = tr.network(sim.Config{Faults: faults, Completion: tr.seed%4 == 1})
	var err error
	if w.eng, err = engine.NewOn(w.net, engine.Config{Loops: 1, Logger: quiet}); err != nil {
		return err
	}
	ln, err := w.eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			w.work()
			c.Write(b)
			return len(b), nil
		}}
	})
	if err != nil {
		return err
	}
	for range 1 + rng.IntN(3) {
		w.add()
	}
	var peers []*sim.Peer
	for range rng.IntN(80) {
		peers = append(peers, w.net.Dial(ln.Addr()))
	}
	for range 300 {
		for _, p := range peers {
			if rng.IntN(4) > 0 {
				p.Send([]byte("x"))
				p.Recv(p.Room())
			}
		}
		if rng.IntN(20) == 0 {
			k := w.all[rng.IntN(len(w.all))]
			w.eng.Post(0, func() {
				k.ticker.Stop()
				k.stopped = true
				w.work()
			})
		}
		w.eng.Step()
		if err := w.eng.Check(); err != nil || w.err != nil {
			return errors.Join(w.err, err)
		}
	}
	return w.ends()
}

// ends ends the engine, after which no tick may come. All that were due before have come.
func (w *ticking) ends() error {
	for _, k := range w.all {
		due, limit := k.next, w.limit()
		if due == 0 { // it was posted, and began in that turn or in the next one
			due, limit = k.added+k.period, limit+20*time.Millisecond
		}
		if late := w.net.Now() - due; !k.stopped && !w.jumps && late > limit {
			return fmt.Errorf("no tick for %v, with a period of %v", late, k.period)
		}
	}
	w.eng.BeginClose()
	for turn := 0; w.eng.Step(); turn++ {
		if turn > 1e5 {
			return fmt.Errorf("the engine does not end")
		}
	}
	for _, k := range w.all {
		k.stopped = true
	}
	w.net.Advance(time.Second)
	return w.err
}
