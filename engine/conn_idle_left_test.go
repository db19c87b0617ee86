package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestPeerWhoseInputIsLeftIsNotIdle: a peer had sent messages for many turns, and waited for what
// comes of them. When that took longer than the idle timeout, it was closed, and the messages that
// were left were lost.
func TestPeerWhoseInputIsLeftIsNotIdle(t *testing.T) {
	const messages, work, idle = 100, 50 * time.Millisecond, time.Second
	fed := 0
	var s *simulated
	var reason error
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, TurnMessages: 1},
		func(c *engine.Conn) engine.Protocol {
			c.SetIdleTimeout(idle)
			return &proto{feed: func(b []byte) (int, error) {
				fed++
				s.net.Advance(work)
				c.Yield()
				return 1, nil
			}, closed: func(err error) { reason = err }}
		})
	p := s.net.Dial(s.ln.Addr())
	p.Send(make([]byte, messages))
	s.until(t, 10*idle, func() bool { return reason != nil })
	if fed != messages || !errors.Is(reason, engine.ErrIdleTimeout) {
		t.Errorf("%d of %d messages were fed, then: %v", fed, messages, reason)
	}
}
