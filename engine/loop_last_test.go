package engine_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// What is accepted is run, or told: an engine that ends while something is on its way to a loop.

// leaving is a Protocol that leaves at once when the engine ends.
type leaving struct {
	c      *engine.Conn
	closed func()
}

func (p *leaving) Feed(b []byte) (int, error) { return len(b), nil }
func (p *leaving) Shutdown()                  { p.c.Abort() }
func (p *leaving) Closed(error) {
	if p.closed != nil {
		p.closed()
	}
}

// TestPostInTheLastCallRuns: it was accepted, and never called.
func TestPostInTheLastCallRuns(t *testing.T) {
	var s *server
	var ran, again atomic.Int32
	opened := make(chan struct{}, 1)
	posted := make(chan error, 1)
	s = serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		opened <- struct{}{}
		return &leaving{c, func() {
			posted <- s.Post(0, func() {
				ran.Add(1)
				if s.Post(0, func() { again.Add(-1) }) == nil {
					again.Add(1)
				}
			})
		}}
	})
	s.dial(t)
	receive(t, "connection", opened)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := receive(t, "Post", posted); err != nil || ran.Load() != 1 || again.Load() != 0 {
		t.Errorf("Post in Closed: %v; called %d times; %d posted by that and not called", err, ran.Load(), again.Load())
	}
}

// TestPostWhileTheEngineEndsRuns: of those that another goroutine posts, none that was accepted is
// lost.
func TestPostWhileTheEngineEndsRuns(t *testing.T) {
	for range 20 {
		s := running(t)
		var accepted, ran atomic.Int64
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for s.Post(0, func() { ran.Add(1) }) == nil {
					accepted.Add(1)
				}
			})
		}
		s.Shutdown(t.Context())
		all.Wait()
		if a, r := accepted.Load(), ran.Load(); a != r {
			t.Fatalf("%d accepted, %d called", a, r)
		}
	}
}

// TestFunctionThatPostsItselfLetsTheEngineEnd.
func TestFunctionThatPostsItselfLetsTheEngineEnd(t *testing.T) {
	for _, end := range []func(*engine.Engine) error{
		(*engine.Engine).Close,
		func(e *engine.Engine) error { return e.Shutdown(context.Background()) },
	} {
		s := running(t)
		var again func()
		refused := make(chan error, 1)
		again = func() {
			if err := s.Post(0, again); err != nil {
				refused <- err
			}
		}
		s.Post(0, again)
		ended := make(chan error, 1)
		go func() { ended <- end(s.Engine) }()
		if err := receive(t, "end", ended); err != nil {
			t.Error(err)
		}
		if err := receive(t, "refusal", refused); err != engine.ErrClosed {
			t.Error(err)
		}
	}
}

// TestRedialLetsTheEngineEnd: a client that dials again when that has failed kept it for ever.
func TestRedialLetsTheEngineEnd(t *testing.T) {
	for name, ran := range map[string]bool{"running": true, "never ran": false} {
		eng, err := engine.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		if ran {
			go eng.Run(t.Context())
		}
		refused := make(chan error, 1)
		var again func()
		again = func() {
			if err := eng.Dial(context.Background(), "tcp", "127.0.0.1:1", engine.DialConfig{},
				func(_ *engine.Conn, err error) engine.Protocol {
					again()
					return nil
				}); err != nil {
				refused <- err
			}
		}
		again()
		ended := make(chan error, 1)
		go func() { ended <- eng.Close() }()
		if err := receive(t, "end of an engine: "+name, ended); err != nil {
			t.Error(err)
		}
		if err := receive(t, "refusal", refused); err != engine.ErrClosed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAdoptWhileTheEngineEndsIsTold: whatever was adopted gets its Protocol, and that its end.
func TestAdoptWhileTheEngineEndsIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 10 {
		s := running(t)
		var all sync.WaitGroup
		var adopted, opened, closed atomic.Int32
		all.Go(func() {
			for {
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Adopt(c, nil, func(c *engine.Conn) engine.Protocol {
					opened.Add(1)
					return &leaving{c, func() { closed.Add(1) }}
				}); err != nil {
					c.Close()
					return
				}
				adopted.Add(1)
			}
		})
		s.Shutdown(t.Context())
		all.Wait()
		if a, o, c := adopted.Load(), opened.Load(), closed.Load(); a != o || o != c {
			t.Fatalf("%d were adopted, %d opened, %d closed", a, o, c)
		}
	}
}

// TestAdoptBehindTheLastLook: a connection that another goroutine gives to a loop that has just
// seen that it is empty is cut, and the loop ends even if its accept function panics.
func TestAdoptBehindTheLastLook(t *testing.T) {
	for name, accept := range map[string]func(*engine.Conn) engine.Protocol{
		"served": func(*engine.Conn) engine.Protocol { return stays{} },
		"panic":  func(*engine.Conn) engine.Protocol { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			var last *engine.Conn
			s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet},
				func(c *engine.Conn) engine.Protocol { last = c; return stays{} })
			s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return last != nil })
			adopted := 0
			adopt := func() {
				fd, _ := s.net.Pair()
				if s.AdoptFD(0, fd, nil, nil, func(c *engine.Conn) engine.Protocol {
					adopted++
					return accept(c)
				}) != nil {
					t.Error("the engine does not take a connection")
				}
			}
			s.BeginShutdown()
			s.StepApart(adopt)
			s.InTurn(0, last.Abort)
			for turns := 0; s.StepApart(adopt); turns++ {
				if turns == 10 || adopted > 0 {
					t.Fatalf("the loop goes on, with %d adopted connections", adopted)
				}
			}
			if n := s.net.Descriptors(); adopted != 1 || n > 0 {
				t.Errorf("%d connections were adopted, %d descriptors are open", adopted, n)
			}
		})
	}
}

// TestPanicOfAnEngineThatNeverRan got out of Close, and later calls of it waited for ever.
func TestPanicOfAnEngineThatNeverRan(t *testing.T) {
	var log lockedBuffer
	eng, err := engine.New(engine.Config{Loops: 2, Logger: logTo(&log)})
	if err != nil {
		t.Fatal(err)
	}
	after, dialled := false, make(chan error, 1)
	eng.Post(0, func() { panic("boom") })
	eng.Post(0, func() { after = true })
	eng.Dial(t.Context(), "tcp", "127.0.0.1:1", engine.DialConfig{}, func(_ *engine.Conn, err error) engine.Protocol {
		dialled <- err
		panic("in done")
	})
	for range 2 {
		ended := make(chan error, 1)
		go func() { ended <- eng.Close() }()
		if err := receive(t, "end", ended); err != nil {
			t.Error(err)
		}
	}
	if err := receive(t, "done of Dial", dialled); !errors.Is(err, engine.ErrShutdown) {
		t.Error(err)
	}
	if s, err := eng.Stats(t.Context()); !after || s.Panics != 2 || err != nil {
		t.Errorf("%d panics, %v; the next function was called: %v", s.Panics, err, after)
	}
}

// TestPanicInTheLastCall: the loop slept before its next turn, and nobody woke it.
func TestPanicInTheLastCall(t *testing.T) {
	for _, test := range []struct {
		name string
		last func(t *testing.T, s *server)
	}{
		{"PacketProtocol.Closed", func(t *testing.T, s *server) {
			opened := make(chan struct{})
			s.ListenPacket("udp", "127.0.0.1:0", func(*engine.PacketConn) engine.PacketProtocol {
				close(opened)
				return &packets{closed: func(error) { panic("boom") }}
			})
			receive(t, "socket", opened)
		}},
		{"Post", func(t *testing.T, s *server) {
			busy, proceed := make(chan struct{}), make(chan struct{})
			s.Post(0, func() { close(busy); <-proceed })
			receive(t, "call", busy)
			s.BeginShutdown()
			s.Post(0, func() { panic("boom") })
			close(proceed)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := running(t)
			test.last(t, s)
			ended := make(chan error, 1)
			go func() { ended <- s.Close() }()
			if err := receive(t, "end", ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPanicInClosedOfABrokenLoop ended the process.
func TestPanicInClosedOfABrokenLoop(t *testing.T) {
	breaks := &breaking{Network: sim.New(sim.Config{Seed: 1})}
	eng, err := engine.NewOn(breaks, engine.Config{Loops: 1, Logger: logTo(&lockedBuffer{})})
	if err != nil {
		t.Fatal(err)
	}
	var told []error
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(*engine.Conn) engine.Protocol {
		return &proto{closed: func(err error) { told = append(told, err); panic("boom") }}
	})
	if err != nil {
		t.Fatal(err)
	}
	eng.Step()
	for range 3 {
		breaks.Dial(ln.Addr())
	}
	for turn := 0; eng.StatsNow().Connections < 3; turn++ {
		if turn > 100 {
			t.Fatal("not accepted")
		}
		eng.Step()
	}
	ran := false
	eng.Post(0, func() { ran = true })
	breaks.broken = true
	for eng.Step() {
	}
	if len(told) != 3 || !errors.Is(told[0], engine.ErrReset) || !ran || breaks.Descriptors() != 0 {
		t.Errorf("told: %v; the posted function ran: %v; %d descriptors", told, ran, breaks.Descriptors())
	}
}

// breaking is a network whose pollers fail when it is broken.
type breaking struct {
	*sim.Network
	broken bool
}

func (b *breaking) Open() (p driver.Poller, s driver.Sockets, err error) {
	p, s, err = b.Network.Open()
	return &breakingPoller{p, b}, s, err
}

type breakingPoller struct {
	driver.Poller
	network *breaking
}

func (p *breakingPoller) Poll(d time.Duration, s driver.Sink) (int, error) {
	if p.network.broken {
		return 0, errBroken
	}
	return p.Poller.Poll(d, s)
}
