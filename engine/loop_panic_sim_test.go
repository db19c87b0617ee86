package engine_test

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// What a panic must not cost, found by TestSimulatedEverything.

var quiet = slog.New(slog.DiscardHandler)

// TestPanicInAcceptEndsInOrder: the connection was not registered with the driver then, and broke
// instead of ending.
func TestPanicInAcceptEndsInOrder(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		c.Write([]byte("bye"))
		panic("boom")
	})
	p := s.net.Dial(s.ln.Addr())
	var got []byte
	s.until(t, 100*time.Millisecond, func() bool {
		got = append(got, p.Recv(10)...)
		return p.EOF() || p.Err() != nil
	})
	if string(got) != "bye" || !p.EOF() {
		t.Errorf("the peer got %q; EOF: %v, %v", got, p.EOF(), p.Err())
	}
	p.Close()
	if !s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 0 }) {
		t.Error("the connection does not end")
	}
}

// TestPanicInClosedDoesNotTellThePeerThatAllIsWell: there was a FIN instead of a reset after
// half of a message.
func TestPanicInClosedDoesNotTellThePeerThatAllIsWell(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1, Buffer: 100}, engine.Config{Loops: 1, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			c.Write(make([]byte, 1000))
			c.AfterFunc(time.Second, c.Abort)
			return &proto{closed: func(error) { panic("boom") }}
		})
	p := s.net.Dial(s.ln.Addr())
	s.until(t, 5*time.Second, func() bool { return p.Err() != nil || p.EOF() })
	for len(p.Recv(1000)) > 0 {
	}
	if p.Err() == nil || p.EOF() {
		t.Errorf("the peer sees EOF: %v, %v", p.EOF(), p.Err())
	}
}

// TestPanicInClosedOfAReleasedConnection: take was not called.
func TestPanicInClosedOfAReleasedConnection(t *testing.T) {
	taken := 0
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(time.Second, func() {
			c.Release(func(net.Conn, []byte, []byte, error) { taken++ })
		})
		return &proto{closed: func(error) { panic("boom") }}
	})
	s.net.Dial(s.ln.Addr())
	s.until(t, 5*time.Second, func() bool { return taken > 0 })
	if n := s.net.Descriptors(); taken != 1 || n != 2 { // of the listener, and the spare one
		t.Errorf("take was called %d times, %d descriptors are open", taken, n)
	}
}

// TestPanicInObserverOpened cost the connection what its accept function had written, and at
// shutdown its farewell.
func TestPanicInObserverOpened(t *testing.T) {
	observer := engine.Observer{Opened: func(*engine.Conn) { panic("boom") }}
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet, Observer: observer},
		func(c *engine.Conn) engine.Protocol {
			c.Write([]byte("hello"))
			return echoOn(c)
		})
	p := s.net.Dial(s.ln.Addr())
	s.BeginShutdown() // the kernel has connected it
	var got []byte
	for range 10 {
		s.Step()
		got = append(got, p.Recv(10)...)
	}
	if string(got) != "hello" || !p.EOF() {
		t.Errorf("the peer got %q; EOF: %v", got, p.EOF())
	}
}

// TestPanicWithAnErrorOfTheEnginesOwn is a panic for the counters, and not what the error would
// stand for.
func TestPanicWithAnErrorOfTheEnginesOwn(t *testing.T) {
	var reason error
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(time.Second, func() { panic(engine.ErrReset) })
		return &proto{closed: func(err error) { reason = err }}
	})
	p := s.net.Dial(s.ln.Addr())
	s.until(t, 1500*time.Millisecond, func() bool { return false })
	p.Close()
	s.until(t, 5*time.Second, func() bool { return reason != nil })
	var boom *engine.PanicError
	if n := s.StatsNow().Closed[engine.CausePanic]; n != 1 || !errors.As(reason, &boom) {
		t.Errorf("%d connections ended by a panic, this one by %v", n, reason)
	}
}

// TestLoopWaitsAfterAPanic: a panic in what a waiting poll delivered left the loop unable to wait,
// and it burned its core.
func TestLoopWaitsAfterAPanic(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: logTo(&lockedBuffer{})},
		func(c *engine.Conn) engine.Protocol {
			return &proto{feed: func([]byte) (int, error) { panic("boom") }}
		})
	p := s.net.Dial(s.ln.Addr())
	for range 100 { // until it polls by waiting only
		s.Step()
	}
	p.Send([]byte("x"))
	if !s.until(t, time.Second, func() bool { return s.StatsNow().Panics == 1 && p.EOF() }) {
		t.Fatal("no panic")
	}
	before := s.net.Counts().Polls
	for range 10 {
		s.Step()
	}
	if n := s.net.Counts().Polls - before; n < 10 {
		t.Errorf("10 turns of an idle loop polled %d times: it does not wait", n)
	}
}

// TestRecoveredSendsLastWords: they arrive before the FIN, wherever the panic was. A second panic
// changes nothing.
func TestRecoveredSendsLastWords(t *testing.T) {
	for _, again := range []bool{false, true} {
		for seed := range uint64(20) {
			var reason error
			s := onSim(t, sim.Config{Seed: seed}, engine.Config{Loops: 1, Logger: quiet},
				func(c *engine.Conn) engine.Protocol {
					p := &recoverer{conn: c, again: again}
					p.feed = func([]byte) (int, error) { panic("boom") }
					p.closed = func(err error) { reason = err }
					if seed%2 == 0 {
						c.AfterFunc(time.Second, func() { panic("boom") })
					}
					return p
				})
			p := s.net.Dial(s.ln.Addr())
			if seed%2 != 0 {
				p.Send([]byte("x"))
			}
			var got []byte
			s.until(t, 5*time.Second, func() bool {
				got = append(got, p.Recv(10)...)
				return p.EOF() || p.Err() != nil
			})
			p.Close()
			s.until(t, 5*time.Second, func() bool { return reason != nil })
			var boom *engine.PanicError
			panics := uint64(1)
			if again {
				panics = 2
			}
			if n := s.StatsNow().Panics; string(got) != "bye" || !p.EOF() || !errors.As(reason, &boom) ||
				boom.Value != "boom" || n != panics {
				t.Fatalf("seed %d: the peer got %q; EOF: %v; reason %v; %d panics", seed, got, p.EOF(), reason, n)
			}
		}
	}
}

type recoverer struct {
	proto
	conn  *engine.Conn
	again bool
}

func (r *recoverer) Recovered(*engine.PanicError) {
	r.conn.Write([]byte("bye"))
	if r.again {
		panic("again")
	}
}

// TestRestOfABatchAfterAPanic: it is delivered by a poll that does not wait. By one that may, its
// calls would have been taken for those of another goroutine.
func TestRestOfABatchAfterAPanic(t *testing.T) {
	fed := 0
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if fed++; fed == 1 {
				panic("boom")
			}
			c.Write(b)
			return len(b), nil
		}}
	})
	peers := []*sim.Peer{s.net.Dial(s.ln.Addr()), s.net.Dial(s.ln.Addr()), s.net.Dial(s.ln.Addr())}
	for range 100 { // until it polls by waiting only
		s.Step()
	}
	for _, p := range peers {
		p.Send([]byte("x"))
	}
	s.until(t, time.Second, func() bool { return fed == len(peers) })
	if n := s.StatsNow().Panics; n != 1 || fed != len(peers) {
		t.Errorf("%d connections were fed, with %d panics, want %d and 1", fed, n, len(peers))
	}
}
