package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestLongTurnYields: a turn with many events yields between them, not only when it ends.
func TestLongTurnYields(t *testing.T) {
	const peers, work = 200, 100 * time.Microsecond
	var s *simulated
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			s.net.Advance(work)
			return len(b), nil
		}}
	})
	var all []*sim.Peer
	for range peers {
		all = append(all, s.net.Dial(s.ln.Addr()))
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
	for _, p := range all {
		p.Send([]byte("x"))
	}
	s.net.Advance(time.Second) // all has arrived
	before := s.net.Counts().Yields
	begin := s.net.Now()
	s.Step()
	took, yields := s.net.Now()-begin, s.net.Counts().Yields-before
	if most := 1200 * time.Microsecond; took < 2*most || yields < int(took/most) {
		t.Errorf("%d yields in a turn of %v, want one in %v", yields, took, most)
	}
}

// TestCallbacksThatSuddenlyTakeLong: after some time of callbacks that take little, the loop looks
// at the clock after 32 events only. If then each of them took a millisecond, so did the turn 32.
func TestCallbacksThatSuddenlyTakeLong(t *testing.T) {
	const peers, most = 200, 12 * time.Millisecond
	var s *simulated
	work := 2 * time.Microsecond
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			s.net.Advance(work)
			return len(b), nil
		}}
	})
	var all []*sim.Peer
	for range peers {
		all = append(all, s.net.Dial(s.ln.Addr()))
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
	for turn := range 100 {
		for _, p := range all {
			p.Send([]byte("x"))
		}
		if turn%10 == 9 {
			work = time.Millisecond
		}
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > most {
			t.Fatalf("turn %d took %v", turn, took)
		}
		work = 2 * time.Microsecond
		for s.StatsNow().Reads < uint64(peers*(turn+1)) { // the others
			s.Step()
		}
	}
}
