package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestBudgetCountsWhatMovedConnectionsLetWait: what waits for the peer of a connection that has
// moved counted as a shared message. It was spared, as its end would free little, and 32 others
// that held 300 KiB each were closed for it.
func TestBudgetCountsWhatMovedConnectionsLetWait(t *testing.T) {
	const slow, waiting, others, held, most = 10, 9 << 20, 600, 300 << 10, 256 << 20
	limited := make(map[string]int)
	note := func(who string, err error) {
		if errors.Is(err, engine.ErrBufferLimit) {
			limited[who]++
		}
	}
	accept := func(c *engine.Conn) engine.Protocol {
		p := &slowEnd{laden: laden{conn: c}}
		p.closed = func(err error) { note("other", err) }
		p.feed = func(b []byte) (int, error) {
			if string(b) != "slow" {
				p.hold(held)
				return len(b), nil
			}
			c.Write(make([]byte, waiting))
			c.MoveTo(0, func(*engine.Conn) engine.Protocol {
				return &proto{closed: func(err error) { note("slow", err) }}
			})
			return len(b), nil
		}
		return p
	}
	s := onSim(t, sim.Config{Seed: 1, Buffer: 64 << 10},
		engine.Config{Loops: 1, WriteTimeout: time.Hour, MaxBuffered: most, Logger: quiet}, accept)
	for i := range slow + others {
		p := s.net.Dial(s.ln.Addr())
		if i < slow {
			p.Send([]byte("slow"))
		} else {
			p.Send([]byte("other"))
		}
		if s.Step(); i == slow {
			s.until(t, time.Millisecond, func() bool { return s.Memory() > slow*(waiting-1<<20) })
		}
	}
	s.until(t, time.Millisecond, func() bool { return false })
	if limited["other"] > 0 || limited["slow"] == 0 {
		t.Errorf("closed for the budget: %v", limited)
	}
}
