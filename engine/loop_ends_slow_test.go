package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSlowEndsLeaveRoomForWhatIsLeft: the end of each connection takes longer than a turn delivers.
// As long as more ended, nobody was offered the rest of its input.
func TestSlowEndsLeaveRoomForWhatIsLeft(t *testing.T) {
	const storm, turns = 200, 40
	var s *simulated
	var resumed *engine.Conn
	fed, work := 0, 2*time.Millisecond // so that the others wait for their end
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			fed++
			resumed = c
			c.PauseRead()
			return 1, nil
		}, closed: func(error) { s.net.Advance(work) }}
	})
	var leave []*sim.Peer
	for range storm {
		leave = append(leave, s.net.Dial(s.ln.Addr()))
	}
	other := s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == storm+1 })
	other.Send(make([]byte, 2*turns))
	s.until(t, time.Second, func() bool { return resumed != nil })
	for _, p := range leave {
		p.Reset()
	}
	for range 3 {
		s.Step()
	}
	work, fed = 4*time.Millisecond, 0
	for range turns {
		s.InTurn(0, resumed.ResumeRead)
		s.Step()
	}
	if n := s.StatsNow().Connections; n < storm/4 || fed < turns/2 {
		t.Errorf("it was fed %d times in %d turns while others end, %d are left", fed, turns, n)
	}
}
