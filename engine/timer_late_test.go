package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestTimesCountFromTheCall: a call that has gone on for long set timers that counted from its
// beginning. They fired at once, and timeouts closed the connection.
func TestTimesCountFromTheCall(t *testing.T) {
	const work, d, late = time.Second, 100 * time.Millisecond, 30 * time.Millisecond
	for _, test := range []struct {
		name string
		set  func(c *engine.Conn, fired func())
	}{
		{"AfterFunc", func(c *engine.Conn, fired func()) { c.AfterFunc(d, fired) }},
		{"SetTimeout", func(c *engine.Conn, _ func()) { c.SetTimeout(d) }},
		{"SetIdleTimeout", func(c *engine.Conn, _ func()) { c.SetIdleTimeout(d) }},
		{"ResumeRead", func(c *engine.Conn, _ func()) { c.ResumeRead() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			var called, fired time.Duration
			note := func() { fired = s.net.Now() }
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				if test.name == "ResumeRead" {
					c.SetIdleTimeout(d)
				}
				return &proto{feed: func(b []byte) (int, error) {
					if test.name == "ResumeRead" {
						c.PauseRead()
					}
					s.net.Advance(work)
					test.set(c, note)
					called = s.net.Now()
					return len(b), nil
				}, closed: func(error) { note() }}
			})
			p := s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 1 })
			p.Send([]byte("x"))
			s.until(t, 10*time.Second, func() bool {
				if fired == 0 && s.net.Now() > called+d { // SetTimeout waits for the peer's FIN
					p.CloseWrite()
				}
				return fired > 0
			})
			if after := fired - called; after < d || after > d+late {
				t.Errorf("%v after the call, want %v", after, d)
			}
		})
	}
}
