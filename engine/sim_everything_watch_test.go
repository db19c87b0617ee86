package engine_test

import (
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// observer is told of what happens, and panics at times.
func (w *world) observer() engine.Observer {
	rng := rand.New(rand.NewPCG(w.tr.seed, 1<<35))
	return engine.Observer{
		Opened: func(c *engine.Conn) {
			defer w.call("Observer.Opened")()
			s := w.byConn[c]
			if s == nil || s.opened || s.now == nil || s.done || c.Protocol() == nil {
				w.failf("Observer.Opened for a connection that is not new")
				return
			}
			if s.opened = true; one(rng, 20) {
				w.boom(rng)
			}
		},
		Closed: func(c *engine.Conn, reason error) {
			defer w.call("Observer.Closed")()
			s := w.byConn[c]
			if s == nil || !s.done || s.reason != reason || !c.Handle().Closed() || s.opened == s.observed {
				w.failf("Observer.Closed for a connection that is not closed, or not for %v, or again", reason)
				return
			}
			s.observed = true
			if one(rng, 20) {
				w.boom(rng)
			}
		},
		Worked: func(loop int, took time.Duration) {
			defer w.call("Observer.Worked")()
			if loop < 0 || loop >= w.eng.Loops() || took < 0 {
				w.failf("Observer.Worked of loop %d: %v", loop, took)
			}
			if one(rng, 200) {
				w.boom(rng)
			}
		},
	}
}

// inspect calls Inspect, which waits.
func (w *world) inspect(rng *rand.Rand) {
	if w.asked > 0 { // two would race for the turn
		return
	}
	w.asked++
	period, top := time.Duration(upTo(rng, 8))*time.Millisecond, rng.IntN(8)
	go func() {
		found, err := w.eng.Inspect(w.ctx, period, top)
		w.answers <- func() {
			if err != nil && err != engine.ErrClosed {
				w.failf("Inspect: %w", err)
			}
			for _, l := range found.Loops {
				for i, c := range l.Busiest {
					if i >= top || c.State == "" || i > 0 &&
						c.Read+c.Written > l.Busiest[i-1].Read+l.Busiest[i-1].Written {
						w.failf("Inspect: connection %d of %d is %+v", i, top, c)
					}
				}
			}
		}
	}()
	synctest.Wait()
}
