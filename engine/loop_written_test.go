package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestWritesOfATurnHaveALimitedTime: 32 connections were called between two looks at the clock,
// however much was written to each. A MiB takes half a millisecond, and with TLS more than one.
func TestWritesOfATurnHaveALimitedTime(t *testing.T) {
	const peers, work = 100, 500 * time.Microsecond
	var handles []engine.Handle
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles = append(handles, c.Handle())
		return echoOn(c)
	})
	for range peers {
		s.net.Dial(s.ln.Addr())
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
	for range 1000 { // a loop that is busy with little looks at the clock seldom
		if err := s.Post(0, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	for s.HasTasks(0) {
		s.Step()
	}
	n, b := 0, make([]byte, 1<<20)
	err := engine.Each(slices.Values(handles), func(c *engine.Conn) {
		n++
		c.Write(b)
		s.net.Advance(work)
	})
	if err != nil {
		t.Fatal(err)
	}
	for n < peers {
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > 4*work {
			t.Fatalf("a turn took %v, %d connections were served", took, n)
		}
	}
}
