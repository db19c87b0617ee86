package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestManyBusyConnectionsLeaveRoomForOthers: each of many connections uses up its share of a turn.
// All had theirs in every turn, so others waited for as many shares: 300 peers that send messages
// of 64 KiB made turns of 190 ms.
func TestManyBusyConnectionsLeaveRoomForOthers(t *testing.T) {
	const busy, work, most, turns = 200, 300 * time.Microsecond, 6 * time.Millisecond, 2000
	for _, test := range []struct {
		name string
		left int // bytes of 1,000 that Feed leaves when it has used up its share
	}{{"what waits in the kernel", 0}, {"what Feed has left", 999}} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			fed := make(map[*engine.Conn]int)
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (int, error) {
					if len(b) == 1 && fed[c] == 0 { // of the others
						c.Write(b)
						c.Yield()
						return 1, nil
					}
					s.net.Advance(work)
					fed[c]++
					c.AddWork(1 << 20) // its share
					c.Yield()
					return max(len(b)-test.left, 1), nil
				}}
			})
			var peers []*sim.Peer
			for range busy {
				peers = append(peers, s.net.Dial(s.ln.Addr()))
			}
			other := s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == busy+1 })
			sent := s.net.Now()
			other.Send([]byte("x"))
			for turn := range turns {
				for _, p := range peers {
					if test.left == 0 || turn == 0 {
						p.Send(make([]byte, 1000))
					}
				}
				begin := s.net.Now()
				s.Step()
				if took := s.net.Now() - begin; turn > 10 && took > most {
					t.Fatalf("turn %d took %v", turn, took)
				}
				if len(other.Recv(1)) > 0 {
					sent = s.net.Now()
					other.Send([]byte("x"))
				}
				if waits := s.net.Now() - sent; waits > 15*most {
					t.Fatalf("another connection has waited for %v", waits)
				}
			}
			least, mostFed := turns, 0
			for _, n := range fed {
				least, mostFed = min(least, n), max(mostFed, n)
			}
			if len(fed) != busy || mostFed > 4*least+4 {
				t.Errorf("%d of %d busy connections were fed, %d to %d times", len(fed), busy, least, mostFed)
			}
		})
	}
}

// TestManyEndsLeaveRoomForOthers: many peers leave at once. A turn closed up to 1,024 connections,
// and to close one takes the longer the more its Protocol has to give up: 190 ms with 128
// subscriptions each, and 760 ms with presence.
func TestManyEndsLeaveRoomForOthers(t *testing.T) {
	const peers, work, most = 400, 200 * time.Microsecond, 5 * time.Millisecond
	for _, test := range []struct {
		name string
		end  func(p *sim.Peer)
	}{{"FIN", (*sim.Peer).CloseWrite}, {"gone", (*sim.Peer).Close}, {"reset", (*sim.Peer).Reset}} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			closed := 0
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (int, error) {
					c.Write(b)
					return len(b), nil
				}, closed: func(error) {
					closed++
					s.net.Advance(work)
				}}
			})
			var all []*sim.Peer
			for range peers {
				all = append(all, s.net.Dial(s.ln.Addr()))
			}
			other := s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers+1 })
			for _, p := range all {
				test.end(p)
			}
			other.Send([]byte("x"))
			waits := 0
			for turn := 0; closed < peers; turn++ {
				begin := s.net.Now()
				s.Step()
				if took := s.net.Now() - begin; took > most && took < time.Second {
					t.Fatalf("turn %d took %v, %d are closed", turn, took, closed)
				}
				if waits++; len(other.Recv(1)) > 0 {
					waits = 0
					other.Send([]byte("x"))
				}
				if waits > 10 || turn > 10*peers {
					t.Fatalf("another connection has waited for %d turns, %d are closed", waits, closed)
				}
			}
		})
	}
}
