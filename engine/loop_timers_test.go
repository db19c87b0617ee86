package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestTimersBeyondTwoDaysAreNotEarly: the longest time of the wheel showed through, at 46 hours. A
// timeout of more than 124 days is none; AfterFunc has no such limit.
func TestTimersBeyondTwoDaysAreNotEarly(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name string
		d    time.Duration
		none bool
		set  func(c *engine.Conn, d time.Duration, f func())
	}{
		{name: "AfterFunc", d: 100 * time.Hour, set: setAfterFunc},
		{name: "SetTimeout", d: 100 * time.Hour, set: setTimeout},
		{name: "SetIdleTimeout", d: 100 * time.Hour, set: setIdleTimeout},
		{name: "AfterFunc", d: 200 * day, set: setAfterFunc},
		{name: "AfterFunc", d: 400 * day, set: setAfterFunc},
		{name: "SetTimeout", d: 125 * day, none: true, set: setTimeout},
		{name: "SetIdleTimeout", d: 125 * day, none: true, set: setIdleTimeout},
	} {
		var s *simulated
		var at time.Duration
		now := func() { at = s.net.Now() }
		s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
			test.set(c, test.d, now)
			return &proto{feed: func(b []byte) (int, error) { return len(b), nil }, closed: func(error) { now() }}
		})
		s.net.Dial(s.ln.Addr())
		if test.none {
			s.net.Advance(test.d + time.Second)
		}
		fired := s.until(t, test.d+time.Minute, func() bool { return at > 0 || test.none && s.net.Now() > test.d })
		if !fired || at < test.d != test.none {
			t.Errorf("%s(%v) has come after %v", test.name, test.d, at)
		}
	}
}

func setAfterFunc(c *engine.Conn, d time.Duration, f func())   { c.AfterFunc(d, f) }
func setTimeout(c *engine.Conn, d time.Duration, _ func())     { c.SetTimeout(d) }
func setIdleTimeout(c *engine.Conn, d time.Duration, _ func()) { c.SetIdleTimeout(d) }

// TestTimersAfterAYearWithoutAny: the wheel had stood still for more ticks than can be compared. A
// timer that was set then was taken for one of the past, and fired at once.
func TestTimersAfterAYearWithoutAny(t *testing.T) {
	for _, days := range []time.Duration{1, 124, 248, 249, 365, 500} {
		var s *simulated
		var set, at time.Duration
		s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
			set = s.net.Now()
			c.AfterFunc(time.Hour, func() { at = s.net.Now() })
			return &proto{feed: func(b []byte) (int, error) { return len(b), nil }}
		})
		s.Step()
		s.net.Advance(days * 24 * time.Hour)
		s.net.Dial(s.ln.Addr())
		if !s.until(t, 2*time.Hour, func() bool { return at > 0 }) || at-set < time.Hour {
			t.Errorf("after %d days, a timer of an hour has fired after %v", days, at-set)
		}
	}
}
