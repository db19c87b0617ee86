package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestTimeOfALongTurnIsNotTheNextOnes: what comes after a loop was held up must not be taken to
// have come before. An idle timeout was due at once for a peer that had just sent, and timers that
// its Feed set were early.
func TestTimeOfALongTurnIsNotTheNextOnes(t *testing.T) {
	var s *simulated
	var reason error
	var due, fired time.Duration
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.SetIdleTimeout(time.Second)
		return &proto{
			feed: func(b []byte) (int, error) {
				due = s.net.Now() + 200*time.Millisecond
				c.AfterFunc(200*time.Millisecond, func() { fired = s.net.Now() })
				return len(b), nil
			},
			closed: func(err error) { reason = err },
		}
	})
	p := s.net.Dial(s.ln.Addr())
	s.until(t, 20*time.Millisecond, func() bool { return s.StatsNow().Connections == 1 })
	s.Engine.Post(0, func() { s.net.Advance(5 * time.Second) }) // a handler that takes so long
	s.Engine.Post(0, func() { p.Send([]byte("x")) })
	s.Step()
	s.until(t, 500*time.Millisecond, func() bool { return fired > 0 || reason != nil })
	if reason != nil || due == 0 || fired < due {
		t.Errorf("AfterFunc at %v, want %v; the connection ended with: %v", fired, due, reason)
	}
}
