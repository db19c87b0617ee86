package engine_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// The end is reached, and told.

// stays is a Protocol that waits for its peer when the engine ends.
type stays struct{ closed chan error }

func (stays) Feed(b []byte) (int, error) { return len(b), nil }
func (stays) Shutdown()                  {}
func (p stays) Closed(err error) {
	if p.closed != nil {
		p.closed <- err
	}
}

// TestCallsInOnShutdownReturn: the engine waited for the function, and the function for the engine.
func TestCallsInOnShutdownReturn(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(*engine.Engine) error
	}{
		{"Close", (*engine.Engine).Close},
		{"Shutdown", func(e *engine.Engine) error { return e.Shutdown(context.Background()) }},
		{"Stats", func(e *engine.Engine) error { _, err := e.Stats(context.Background()); return err }},
		{"Inspect", func(e *engine.Engine) error {
			if _, err := e.Inspect(context.Background(), time.Hour, 1); err != engine.ErrClosed {
				return errors.New("it does not say that the engine has ended")
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := running(t)
			called, ended := make(chan error, 1), make(chan error, 1)
			s.OnShutdown(func(context.Context) {
				for s.Post(0, func() {}) == nil { // until the loop has ended
				}
				called <- c.call(s.Engine)
			})
			go func() { ended <- s.Shutdown(context.Background()) }()
			if err := receive(t, "return of "+c.name, called); err != nil {
				t.Error(err)
			}
			if err := receive(t, "end", ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStatsOfALoopThatHasEnded: they waited for the end of all loops.
func TestStatsOfALoopThatHasEnded(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol { return stays{} })
	accepted := func() uint64 {
		stats, err := s.Stats(t.Context())
		if err != nil {
			t.Error(err)
		}
		return stats.Accepted
	}
	s.dial(t)
	eventually(t, "connection", func() bool { return accepted() == 1 })
	s.BeginShutdown() // the loop that has no connection ends, the other one waits
	eventually(t, "end of a loop", func() bool { return s.Post(0, func() {}) != nil || s.Post(1, func() {}) != nil })
	if n := accepted(); n != 1 {
		t.Errorf("%d connections were accepted", n)
	}
}

// TestRunTellsWhatWasCut: it returned nil if somebody else had called Close or Shutdown, and so did
// a Shutdown beside a Close.
func TestRunTellsWhatWasCut(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*engine.Engine)
		cause error
	}{
		{"Close", func(e *engine.Engine) { e.Close() }, engine.ErrClosed},
		{"Shutdown", func(e *engine.Engine) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			e.Shutdown(ctx)
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := engine.New(engine.Config{Loops: 1})
			if err != nil {
				t.Fatal(err)
			}
			opened := make(chan bool, 1)
			ln, err := e.Listen("tcp", "127.0.0.1:0",
				func(*engine.Conn) engine.Protocol { opened <- true; return stays{} })
			if err != nil {
				t.Fatal(err)
			}
			ran, shut := make(chan error, 1), make(chan error, 1)
			go func() { ran <- e.Run(context.Background()) }()
			nc, err := net.Dial("tcp", ln.String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			receive(t, "connection", opened)
			go func() { shut <- e.Shutdown(context.Background()) }()
			eventually(t, "shutdown", func() bool { return e.OnShutdown(func(context.Context) {}) != nil })
			c.end(e)
			for what, err := range map[string]error{
				"Run": receive(t, "end of Run", ran), "Shutdown": receive(t, "end of Shutdown", shut),
			} {
				if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), "cut 1 connections") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestCloseReturnsWhenALoopIsBlocked, or a function of OnShutdown, and so does Run: they waited for
// ever.
func TestCloseReturnsWhenALoopIsBlocked(t *testing.T) {
	for name, farewell := range map[string]bool{"loop": false, "function of OnShutdown": true} {
		t.Run(name, func(t *testing.T) {
			e, err := engine.New(engine.Config{Loops: 2, BlockedAfter: -1})
			if err != nil {
				t.Fatal(err)
			}
			ran, blocked, release := make(chan error, 1), make(chan bool, 1), make(chan struct{})
			go func() { ran <- e.Run(context.Background()) }()
			want := "loop 1 does not turn"
			if farewell {
				want = "1 functions of OnShutdown have not returned"
				e.OnShutdown(func(context.Context) { <-release })
				e.Post(0, func() { blocked <- true })
			} else {
				e.Post(1, func() { blocked <- true; blockHere(release) })
			}
			receive(t, "block", blocked)
			closed := make(chan error, 1)
			go func() { closed <- e.Close() }()
			for _, err := range []error{receive(t, "Close", closed), receive(t, "Run", ran)} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			close(release)
			if err := e.Close(); err != nil { // it waits again
				t.Error(err)
			}
		})
	}
}

// TestConnectionThatComesAfterTheCutIsCut: one that was on its way to a loop was told of a
// Shutdown, and Close waited for its peer.
func TestConnectionThatComesAfterTheCutIsCut(t *testing.T) {
	reasons := make(chan error, 2)
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 2, Logger: quiet},
		func(*engine.Conn) engine.Protocol { return stays{reasons} })
	s.Step()      // it listens
	for range 2 { // one for each loop
		s.net.Dial(s.ln.Addr())
	}
	s.BeginClose() // first in the queues; the first loop accepts before it looks there
	turns := 0
	for s.Step() {
		if turns++; turns > 10 {
			t.Fatal("the engine does not end")
		}
	}
	for range 2 {
		if err := receive(t, "reason", reasons); err != engine.ErrShutdown {
			t.Error(err)
		}
	}
}

// TestAdoptDuringCloseIsRefused: a Protocol that hands the engine another connection when one has
// ended could keep it from ending.
func TestAdoptDuringCloseIsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var s *server
	adopted, opened := make(chan error, 1), make(chan bool, 1)
	s = serve(t, engine.Config{Loops: 1}, func(*engine.Conn) engine.Protocol {
		opened <- true
		return &proto{closed: func(error) {
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
			}
			defer nc.Close()
			adopted <- s.Adopt(nc, nil, func(*engine.Conn) engine.Protocol { return stays{} })
		}}
	})
	s.dial(t)
	receive(t, "connection", opened)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := receive(t, "Adopt", adopted); err != engine.ErrClosed {
		t.Errorf("Adopt: %v", err)
	}
	if err := receive(t, "Close", closed); err != nil {
		t.Error(err)
	}
}

// TestAcceptStormAndClose: connections that were on their way between loops when the engine was
// closed kept it from ending.
func TestAcceptStormAndClose(t *testing.T) {
	for i := range int64(30) {
		s := serve(t, engine.Config{Loops: 4}, func(*engine.Conn) engine.Protocol { return stays{} })
		var peers sync.WaitGroup
		var dialled atomic.Int64
		for range 3 {
			peers.Go(func() {
				for {
					c, err := net.Dial("tcp", s.ln.String())
					if err != nil {
						return
					}
					t.Cleanup(func() { c.Close() }) // not before the engine has ended
					dialled.Add(1)
				}
			})
		}
		eventually(t, "storm", func() bool { return dialled.Load() > 50+10*(i%20) })
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		if err := receive(t, "end", closed); err != nil {
			t.Fatal(err)
		}
		peers.Wait()
	}
}

// TestAcceptStormThatPanicsLetsTheEngineEnd: of a backlog that refills, an ending engine accepts
// only so many, also if the accept function panics for each.
func TestAcceptStormThatPanicsLetsTheEngineEnd(t *testing.T) {
	var s *simulated
	accepts := 0
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(*engine.Conn) engine.Protocol {
		accepts++
		s.net.Dial(s.ln.Addr()).Close()
		panic("boom")
	})
	s.net.Dial(s.ln.Addr())
	s.BeginShutdown()
	for s.Step() {
		if accepts > 5000 {
			t.Fatalf("%d were accepted of an engine that ends", accepts)
		}
	}
}

// TestShutdownTellsOnceWhoConnectsMeanwhile: done of another Dial panicked, and what connected in
// the next turn was told twice.
func TestShutdownTellsOnceWhoConnectsMeanwhile(t *testing.T) {
	told, failed := 0, 0
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, echoes)
	s.net.Remote(func(*sim.Peer) bool { return true })
	for range 2 {
		s.Dial(t.Context(), "tcp", "192.0.2.7:1", engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
			if err != nil {
				failed++
				panic("boom")
			}
			return &toldOnce{c, &told}
		})
	}
	s.InTurn(0, func() {})
	s.BeginShutdown() // in the same turn as the calls of Dial
	for s.Step() {
	}
	if failed+told != 2 {
		t.Errorf("%d calls of Dial have failed, %d calls of Shutdown", failed, told)
	}
}

type toldOnce struct {
	c    *engine.Conn
	told *int
}

func (p *toldOnce) Feed(b []byte) (int, error) { return len(b), nil }
func (p *toldOnce) Closed(error)               {}
func (p *toldOnce) Shutdown()                  { *p.told++; p.c.AfterFunc(time.Second, p.c.Close) }

// TestCloseCutsNobodyWhoHasEnded: a connection that was aborted in the turn of Close, and is not
// closed yet, does not count as cut.
func TestCloseCutsNobodyWhoHasEnded(t *testing.T) {
	var conn *engine.Conn
	var reason error
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		conn = c
		return &proto{closed: func(err error) { reason = err }}
	})
	s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return conn != nil }) {
		t.Fatal("not accepted")
	}
	s.Post(0, conn.Abort)
	s.BeginClose()
	for s.Step() {
	}
	if s.Cut() != 0 || s.WasCut() != nil || reason != engine.ErrAborted {
		t.Errorf("%d were cut: %v; the reason is %v", s.Cut(), s.WasCut(), reason)
	}
}
