package engine_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// stolen is a network in which another goroutine takes the descriptor that Spare would get.
type stolen struct {
	*sim.Network
	steals bool
	taken  int
}

func (n *stolen) Spare() (int, error) {
	fd, err := n.Network.Spare()
	if n.steals && err == nil {
		n.steals, n.taken = false, fd
		return -1, syscall.EMFILE
	}
	return fd, err
}

// TestSpareDescriptorComesBack: while a listener refused peers, another goroutine took the place of
// the spare descriptor. From then on peers waited in silence whenever there were no descriptors.
func TestSpareDescriptorComesBack(t *testing.T) {
	// the listener's, and the spare one
	n := &stolen{Network: sim.New(sim.Config{Seed: 1, Descriptors: 4})}
	e, err := engine.NewOn(n, engine.Config{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		accepted++
		return echoOn(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{Engine: e, net: n.Network, ln: ln}
	s.Step()
	n.Dial(ln.Addr())
	n.Dial(ln.Addr())
	if !s.until(t, time.Second, func() bool { return accepted == 2 }) {
		t.Fatal("not accepted")
	}
	refused := func() bool {
		p := n.Dial(ln.Addr())
		return s.until(t, 5*time.Second, func() bool { return p.EOF() || p.Err() != nil })
	}
	n.steals = true
	if !refused() || n.steals {
		t.Fatal("not refused by means of the spare descriptor")
	}
	n.CloseFd(n.taken)
	s.until(t, time.Second, func() bool { return false })
	n.Dial(ln.Addr()) // takes what is free, if anything
	if !refused() {
		t.Errorf("of %d peers the last one waits in silence", accepted+1)
	}
}

// TestSpareDescriptorIsTakenBackAtOnce: when peers have been refused, before another goroutine gets
// what was free for that.
func TestSpareDescriptorIsTakenBackAtOnce(t *testing.T) {
	const limit = 4 // the listener's, the spare one, and two connections
	s := onSim(t, sim.Config{Seed: 1, Descriptors: limit}, engine.Config{Loops: 1, Logger: quiet}, echoes)
	s.Step()
	for range 2 {
		s.net.Dial(s.ln.Addr())
	}
	if !s.until(t, time.Second, func() bool { return s.StatsNow().Accepted == 2 }) {
		t.Fatal("not accepted")
	}
	s.net.Dial(s.ln.Addr())
	if !s.until(t, 5*time.Second, func() bool { return s.StatsNow().Refused[engine.RefusedDescriptors] > 0 }) {
		t.Fatal("not refused")
	}
	if n := s.net.Descriptors(); n != limit {
		t.Errorf("%d of %d descriptors are open: the spare one is free for others", n, limit)
	}
}

// TestListenerAcceptsItsShareInEachTurn, however many it has accepted before.
func TestListenerAcceptsItsShareInEachTurn(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, echoes)
	s.Step()
	for range 5 * engine.AcceptTurn {
		s.net.Dial(s.ln.Addr())
	}
	for want := engine.AcceptTurn; want <= 5*engine.AcceptTurn; want += engine.AcceptTurn {
		if s.Step(); s.StatsNow().Connections != want {
			t.Fatalf("%d connections, want %d", s.StatsNow().Connections, want)
		}
	}
}

// TestShutdownEndsWhileAcceptPanics: peers that come faster than they are dismissed do not keep an
// engine from its end, whether accept functions panic or not.
func TestShutdownEndsWhileAcceptPanics(t *testing.T) {
	for name, panics := range map[string]bool{"panics": true, "returns": false} {
		t.Run(name, func(t *testing.T) {
			var s *simulated
			n := 0
			config := engine.Config{Loops: 1, Logger: quiet}
			s = onSim(t, sim.Config{Seed: 1}, config, func(*engine.Conn) engine.Protocol {
				if n++; n < 3*engine.LastAccepts {
					s.net.Dial(s.ln.Addr()).CloseWrite()
				}
				if panics {
					panic("boom")
				}
				return nil
			})
			s.Step()
			s.BeginShutdown()
			s.net.Dial(s.ln.Addr()).CloseWrite()
			for s.Step() {
			}
			if n < engine.LastAccepts/2 || n > engine.LastAccepts+engine.AcceptTurn {
				t.Errorf("%d connections were accepted, want about %d", n, engine.LastAccepts)
			}
		})
	}
}
