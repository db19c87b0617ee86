package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestYieldAfterSetProtocol: a Protocol that is replaced while it cuts messages from its input did
// not learn of that, and took those of the new one.
func TestYieldAfterSetProtocol(t *testing.T) {
	var old, next string
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		cut := func(to *string, then func()) *proto {
			return &proto{feed: func(b []byte) (n int, err error) {
				for n < len(b) {
					*to += string(b[n])
					n++
					then()
					if c.Yield() {
						break
					}
				}
				return n, nil
			}}
		}
		after := cut(&next, func() {})
		return cut(&old, func() {
			if old == "abc" {
				c.SetProtocol(after)
			}
		})
	})
	s.net.Dial(s.ln.Addr()).Send([]byte("abcdef"))
	s.until(t, time.Second, func() bool { return len(old)+len(next) == 6 })
	if old != "abc" || next != "def" {
		t.Errorf("the old one got %q, the new one %q", old, next)
	}
	if n := s.StatsNow().Messages; n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}

// patientProto is a proto that a shutdown does not end.
type patientProto struct {
	proto
	shutdown func()
}

func (p *patientProto) Shutdown() { p.shutdown() }

// TestSetProtocolDuringShutdown: the new Protocol is told of the shutdown, too, once. Otherwise the
// connection would stay until it is cut.
func TestSetProtocolDuringShutdown(t *testing.T) {
	for _, within := range []bool{false, true} {
		var conn *engine.Conn
		var reason error
		first, second := 0, 0
		closed := false
		ends := func(err error) { closed, reason = true, err }
		swallow := func(b []byte) (int, error) { return len(b), nil }
		next := &patientProto{proto{swallow, ends}, func() { second++ }}
		s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
			conn = c
			return &patientProto{proto{swallow, ends}, func() {
				first++
				if within {
					c.SetProtocol(next)
				}
			}}
		})
		p := s.net.Dial(s.ln.Addr())
		s.until(t, time.Second, func() bool { return conn != nil })
		s.BeginShutdown()
		s.until(t, time.Second, func() bool { return first > 0 })
		if !within {
			s.InTurn(0, func() { conn.SetProtocol(next) })
		}
		for range 10 {
			s.Step()
		}
		if first != 1 || second != 1 || closed {
			t.Fatalf("within Shutdown %t: told %d and %d times, closed: %t", within, first, second, closed)
		}
		s.InTurn(0, func() { conn.SetProtocol(&proto{swallow, ends}) }) // which cannot be told
		for range 5 {
			s.Step()
		}
		p.CloseWrite()
		s.until(t, time.Second, func() bool { return closed })
		if !errors.Is(reason, engine.ErrShutdown) {
			t.Errorf("within Shutdown %t: closed %t: %v", within, closed, reason)
		}
	}
}

// TestSetProtocolBeforeTheShutdownIsTold: each connection is told once.
func TestSetProtocolBeforeTheShutdownIsTold(t *testing.T) {
	told := 0
	var conn *engine.Conn
	swallow := func(b []byte) (int, error) { return len(b), nil }
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		conn = c
		return &proto{feed: swallow}
	})
	s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return conn != nil })
	s.BeginShutdown()
	s.InTurn(0, func() { conn.SetProtocol(&patientProto{proto{feed: swallow}, func() { told++ }}) })
	for range 10 {
		s.Step()
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestMoveThatMeetsClose: the connection cannot go to its new loop any more. It was lost, and Run
// did not count it.
func TestMoveThatMeetsClose(t *testing.T) {
	accepted, nobody := 0, 0
	var s *simulated
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			err := c.MoveTo(1-c.Loop(), func(c *engine.Conn) engine.Protocol {
				if accepted++; c == nil {
					nobody++
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			s.BeginClose()
			return len(b), nil
		}}
	})
	s.net.Dial(s.ln.Addr()).Send([]byte("x"))
	for s.Step() {
	}
	if accepted != 1 || nobody != 1 {
		t.Errorf("accept was called %d times, %d of them without a connection", accepted, nobody)
	}
	if n, err := s.Cut(), s.WasCut(); n != 1 || !errors.Is(err, engine.ErrClosed) {
		t.Errorf("%d connections were cut: %v", n, err)
	}
}
