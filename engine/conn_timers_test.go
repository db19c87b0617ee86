package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

type expirer struct {
	proto
	c *engine.Conn
}

func (e *expirer) Expired() { e.c.Write([]byte("time is up")) }

// TestExpired: a Protocol has the last word before its deadline closes it.
func TestExpired(t *testing.T) {
	var reason error
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.SetTimeout(time.Second)
		return &expirer{proto{feed: func(b []byte) (int, error) { return len(b), nil },
			closed: func(err error) { reason = err }}, c}
	})
	p := s.net.Dial(s.ln.Addr())
	got := ""
	s.until(t, time.Minute, func() bool { got += string(p.Recv(100)); return p.EOF() })
	p.Close()
	if s.until(t, time.Minute, func() bool { return reason != nil }); got != "time is up" ||
		!errors.Is(reason, engine.ErrTimeout) {
		t.Fatalf("%q, %v", got, reason)
	}
}
