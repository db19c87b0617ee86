package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// slowEnds is a Protocol whose ends and flushes take their time.
type slowEnds struct {
	proto
	work func()
}

func (s *slowEnds) Flushed() { s.work() }

// TestTickBetweenEventsThatReadNothing: many peers may leave at once, or begin to read what waits
// for them.
func TestTickBetweenEventsThatReadNothing(t *testing.T) {
	const peers, work, period = 500, 30 * time.Microsecond, time.Millisecond
	for _, tt := range []struct {
		name string
		do   func(*sim.Peer)
	}{
		{"FIN", (*sim.Peer).Close},
		{"reset", (*sim.Peer).Reset},
		{"reads", func(p *sim.Peer) { p.Recv(1 << 20) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s *simulated
			busy := func() { s.net.Advance(work) }
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				if tt.name == "reads" {
					c.Write(make([]byte, 130<<10)) // a little more than there is room for
				}
				return &slowEnds{proto{feed: func(b []byte) (int, error) { return len(b), nil },
					closed: func(error) { busy() }}, busy}
			})
			var all []*sim.Peer
			for range peers {
				all = append(all, s.net.Dial(s.ln.Addr()))
			}
			if !s.until(t, time.Minute, func() bool { return s.StatsNow().Connections == peers }) {
				t.Fatal("not all have connected")
			}
			for range 20 {
				s.Step()
			}
			ticks, late := 0, time.Duration(0)
			_, err := s.NewTicker(0, period, func(k engine.Tick) {
				ticks++
				late = max(late, k.Late())
			})
			if err != nil {
				t.Fatal(err)
			}
			s.until(t, time.Second, func() bool { return ticks > 1 })
			late = 0
			for _, p := range all {
				tt.do(p)
			}
			begin := s.net.Now()
			if !s.until(t, time.Second, func() bool { return s.net.Now()-begin >= peers*work }) {
				t.Errorf("it took only %v", s.net.Now()-begin)
			}
			if late > period {
				t.Errorf("a tick was %v late", late)
			}
		})
	}
}
