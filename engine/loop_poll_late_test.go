package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestManyBeginToRead: all that waited for them was written in one turn, and whoever had sent
// something waited behind it.
func TestManyBeginToRead(t *testing.T) {
	const peers, size, most = 100, 256 << 10, 3 << 20
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.Write(make([]byte, size)) // for half of which there is room
		return &proto{feed: func(b []byte) (int, error) { return len(b), nil }, closed: func(error) {}}
	})
	var all []*sim.Peer
	for range peers {
		all = append(all, s.net.Dial(s.ln.Addr()))
	}
	if !s.until(t, time.Second, func() bool { return s.StatsNow().BytesWritten == peers*size/2 }) {
		t.Fatal("not all have connected and let some wait")
	}
	got := 0
	for _, p := range all {
		got += len(p.Recv(1 << 20))
	}
	for last := s.StatsNow(); got < peers*size; {
		s.Step()
		now := s.StatsNow()
		if wrote := now.BytesWritten - last.BytesWritten; now.Turns == last.Turns+1 && wrote > most {
			t.Fatalf("%d bytes were written in one turn", wrote)
		}
		if last = now; now.Turns > 10_000 {
			t.Fatalf("%d bytes of %d have come after %d turns", got, peers*size, now.Turns)
		}
		for _, p := range all {
			got += len(p.Recv(1 << 20))
		}
	}
}
