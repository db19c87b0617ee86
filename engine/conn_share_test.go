package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestWorkEndsTheReadsOfATurn: a connection in the middle of something large is read from again and
// again, but not when its work has used up its share.
func TestWorkEndsTheReadsOfATurn(t *testing.T) {
	const share = 64 << 10
	for name, test := range map[string]struct{ work, feeds int }{
		"none":         {0, 10},
		"two shares":   {2 * share, 1},
		"one and more": {share + share/2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var s *simulated
			var peer *sim.Peer
			turns := make(map[uint64]int)
			fed := 0
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, TurnBytes: share, Logger: quiet},
				func(c *engine.Conn) engine.Protocol {
					c.SetTimeout(time.Hour) // or the clock stands
					return &proto{feed: func(b []byte) (int, error) {
						turns[engine.Turns(s.Engine, 0)]++
						c.SetGreedy(true)
						c.AddWork(test.work)
						if fed++; fed < 10 {
							peer.Send([]byte("more"))
						}
						return len(b), nil
					}}
				})
			peer = s.net.Dial(s.ln.Addr())
			peer.Send([]byte("some"))
			if !s.until(t, time.Second, func() bool { return fed == 10 }) {
				t.Fatalf("it was fed %d times", fed)
			}
			for turn, n := range turns {
				if n != test.feeds {
					t.Errorf("it was fed %d times in turn %d, want %d", n, turn, test.feeds)
				}
			}
		})
	}
}

// TestResumedConnectionIsNotReadInTheSameTurn: what a turn has left of its messages is delivered as
// soon as the connection is writable, which may be before its input is looked at. It had another
// share of the turn for that.
func TestResumedConnectionIsNotReadInTheSameTurn(t *testing.T) {
	const share = 4
	for seed := range uint64(8) { // the order of events differs
		fed := 0
		s := onSim(t, sim.Config{Seed: seed}, engine.Config{Loops: 1, TurnMessages: share, HighWater: 1 << 20,
			Logger: quiet},
			func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (n int, err error) {
					if fed == 0 {
						c.Write(make([]byte, 500<<10)) // more than the kernel takes
					}
					for stop := false; n < len(b) && !stop; n++ {
						stop = c.Yield()
						fed++
					}
					return n, nil
				}}
			})
		peer := s.net.Dial(s.ln.Addr())
		peer.Send(make([]byte, 2*share))
		if !s.until(t, time.Second, func() bool { return fed > 0 }) || fed != share {
			t.Fatalf("seed %d: %d messages in a turn, want %d", seed, fed, share)
		}
		peer.Recv(1 << 20)
		peer.Send(make([]byte, share))
		for turn, reads := range []uint64{1, 2, 2} {
			s.Step()
			if want := (2 + min(turn, 1)) * share; fed != want || s.StatsNow().Reads != reads {
				t.Fatalf("seed %d: in turn %d there are %d messages, %d reads; want %d, %d", seed, turn, fed,
					s.StatsNow().Reads, want, reads)
			}
		}
	}
}
