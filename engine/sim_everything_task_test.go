package engine_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// task is what comes from outside of the loops: a new peer, or what another goroutine may ask for.
func (w *world) task() {
	w.tasks++
	x := w.rng.Uint64()
	if !w.tr.keeps(sim.Fault{Name: "Task", At: strconv.Itoa(w.tasks)}) {
		return
	}
	rng := rand.New(rand.NewPCG(x, 2))
	var s *speaker
	if len(w.speakers) > 0 {
		s = w.speakers[rng.IntN(len(w.speakers))]
	}
	switch k := rng.IntN(40); {
	case k < 6 && len(w.visitors) < w.most:
		w.arrive(rng, x)
	case k < 10:
		w.packets.task(w, rng)
	case k == 10:
		w.dial(rng)
	case k == 11:
		for _, d := range w.dials {
			if one(rng, 3) {
				d.cancel()
				synctest.Wait() // for the goroutine that tells the loop, which would race with the next turn
				break           // the others' time comes: two at once would race
			}
		}
	case k == 12 && one(rng, 4):
		w.listen(rng)
	case k == 13 && one(rng, 6) && len(w.listeners) > 0:
		ln := w.listeners[rng.IntN(len(w.listeners))]
		if err := ln.Close(); err != nil && err != engine.ErrClosed {
			w.failf("Listener.Close: %w", err)
		}
		if err := ln.Close(); err != engine.ErrClosed {
			w.failf("Listener.Close again: %v", err)
		}
	case k == 14 && one(rng, 2):
		w.ask()
	case k == 14:
		w.inspect(rng)
	case k == 15:
		loop, boom := rng.IntN(w.eng.Loops()), one(rng, 8)
		w.eng.Post(loop, func() {
			defer w.call("Engine.Post")()
			if boom {
				w.boom(rng)
			}
		})
	case k == 16:
		loop := rng.IntN(w.eng.Loops())
		w.eng.Post(loop, func() { w.shout(rng, loop) })
	case s == nil:
	case k < 20:
		s.sendByHandle(rng, upTo(rng, 9))
	case k < 26:
		s.post(rng)
	case k < 30:
		slow := engine.SlowPolicy(rng.IntN(int(engine.SlowPolicies)))
		w.broadcast++
		engine.Broadcast(w.handles, record(shared, upTo(rng, 9), w.broadcast, 0), slow)
	case k < 33:
		boom := one(rng, 20)
		engine.Each(w.handles, func(c *engine.Conn) {
			defer w.call("Each")()
			if _, err := c.Write(nil); err == engine.ErrClosed && c.Protocol() == nil && c.Handle().Closed() {
				w.failf("Each is for a connection that is closed")
			}
			if boom && one(rng, 3) {
				w.boom(rng)
			}
		})
	case s.done:
		w.eng.Post(s.conn.Loop(), s.afterlife)
	}
}

// shout writes to all connections of a loop, in a call that is none of theirs.
func (w *world) shout(rng *rand.Rand, loop int) {
	defer w.call("Engine.Post that writes")()
	for _, s := range w.speakers {
		if s.conn.Loop() == loop && !s.done {
			_, err := s.conn.Write(s.next(surely, rng.IntN(100)))
			s.accepted(surely, err)
		}
	}
}

func (w *world) handles(yield func(engine.Handle) bool) {
	if h := (engine.Handle{}); h.Loop() != -1 || !yield(h) { // which is a closed one
		return
	}
	for _, s := range w.speakers {
		if !yield(s.conn.Handle()) {
			return
		}
	}
}

// arrive dials one of the listeners, of which some are closed.
func (w *world) arrive(rng *rand.Rand, x uint64) {
	to := netip.MustParseAddrPort("127.0.0.1:1")
	if len(w.listeners) > 0 {
		to = w.listeners[rng.IntN(len(w.listeners))].Addr()
	}
	v := w.visit(w.net.Dial(to), rand.New(rand.NewPCG(x, 3)))
	w.byPort[v.p.Local().Port()] = v
}

// afterlife uses a connection that is closed.
func (s *speaker) afterlife() {
	defer s.w.call("the use of a closed connection")()
	c, b, n := s.conn, []byte("x"), 0
	_, err := c.Write(b)
	_, err2 := c.Writev(b, b)
	_, err3 := c.Writev(make([]byte, 20<<10), b)
	for i, err := range []error{err, err2, err3, c.WriteShared(b, engine.SlowWait), c.SetNoDelay(true),
		c.SetLinger(time.Second),
		c.Release(func(net.Conn, []byte, []byte, error) { n++ }), c.Handle().Send(b), c.Handle().PostBytes(1, b),
		c.Handle().Close()} {
		if err != engine.ErrClosed {
			s.w.failf("%s: call %d when it is closed: %v", s.name, i, err)
		}
	}
	c.PauseRead()
	c.ResumeRead()
	c.SetProtocol(&voice{s: s, replaced: true})
	c.SetIdleTimeout(1)
	c.SetTimeout(1)
	c.SetGreedy(true)
	c.SetWatermarks(1, 1)
	c.Close()
	c.CloseWrite()
	c.Abort()
	if cap(c.AvailableBuffer()) < 16<<10 || c.AfterFunc(1,
		func() { s.w.failf("a timer of a closed connection") }).Stop() {
		s.w.failf("%s: no buffer, or a timer, when it is closed", s.name)
	}
	if c.Outbound() > 0 || c.Protocol() != nil || c.RemoteAddr().IsValid() || c.LocalAddr().IsValid() ||
		c.Handle().Loop() != c.Loop() {
		s.w.failf("%s: something is left when it is closed", s.name)
	}
}

// ask calls Stats, which waits for the loops.
func (w *world) ask() {
	w.asked++
	go func() {
		stats, err := w.eng.Stats(w.ctx)
		w.answers <- func() {
			if err != nil {
				w.failf("Stats: %w", err)
			}
			var sum uint64
			for _, l := range stats.Loops {
				sum += l.Accepted
			}
			if sum != stats.Accepted {
				w.failf("Stats: %d connections, and %d are the sum", stats.Accepted, sum)
			}
		}
	}()
	synctest.Wait()
}
