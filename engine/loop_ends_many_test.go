package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestTicksDoNotGiveBusyConnectionsMore: what a tick has written is settled in the middle of a
// turn, and then the time after which busy connections wait for others began anew. With a tick each
// 500 us and 200 of them a turn took 60 ms.
func TestTicksDoNotGiveBusyConnectionsMore(t *testing.T) {
	const busy, work, most = 200, 300 * time.Microsecond, 6 * time.Millisecond
	var s *simulated
	var conns []*engine.Conn
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		conns = append(conns, c)
		return &proto{feed: func(b []byte) (int, error) {
			s.net.Advance(work)
			c.AddWork(1 << 20) // its share
			c.Yield()
			return len(b), nil
		}}
	})
	var peers []*sim.Peer
	for range busy {
		peers = append(peers, s.net.Dial(s.ln.Addr()))
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == busy })
	if _, err := s.NewTicker(0, 500*time.Microsecond, func(engine.Tick) { conns[0].Write([]byte("x")) }); err != nil {
		t.Fatal(err)
	}
	for turn := range 200 {
		for _, p := range peers {
			p.Send(make([]byte, 1000))
			p.Recv(100)
		}
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; turn > 10 && took > most {
			t.Fatalf("turn %d took %v", turn, took)
		}
	}
}

// TestBroadcastWhileManyEndNeedsFewCorks: thousands of connections wait for their end. What is
// written to others, or to those that are still open, goes out early all the same: each had a cork
// of 64 KiB meanwhile, as had each that turned out to be gone.
func TestBroadcastWhileManyEndNeedsFewCorks(t *testing.T) {
	const peers, work, most = 1000, 200 * time.Microsecond, 10 << 20
	for _, test := range []struct {
		name   string
		end    func(p *sim.Peer)
		others int
	}{
		{"FIN", (*sim.Peer).CloseWrite, peers},
		{"FIN of all", (*sim.Peer).CloseWrite, 0},
		{"reset", (*sim.Peer).Reset, peers},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			used := 0
			conns := make(map[*engine.Conn]bool)
			config := engine.Config{Loops: 1, Logger: quiet}
			s = onSim(t, sim.Config{Seed: 1}, config, func(c *engine.Conn) engine.Protocol {
				conns[c] = true
				return &proto{feed: func(b []byte) (int, error) {
					for o := range conns {
						o.Write(b)
					}
					used = max(used, s.Memory())
					return len(b), nil
				}, closed: func(error) {
					delete(conns, c)
					s.net.Advance(work)
				}}
			})
			connect := func(n int) (all []*sim.Peer) {
				for range n {
					all = append(all, s.net.Dial(s.ln.Addr()))
				}
				want := s.StatsNow().Connections + n
				s.until(t, time.Second, func() bool { return s.StatsNow().Connections == want })
				return all
			}
			leave := connect(peers)
			talker := connect(test.others + 1)[0]
			for _, p := range leave {
				test.end(p)
			}
			for range 3 {
				s.Step()
			}
			talker.Send([]byte("hello"))
			for range 20 {
				s.Step()
				used = max(used, s.Memory())
			}
			if len(conns) < peers/2 || used == 0 {
				t.Fatalf("%d are left, %d bytes were used", len(conns), used)
			}
			if used > most {
				t.Errorf("%d MiB were used", used>>20)
			}
		})
	}
}

// slowEnd is a laden Protocol whose end takes its time.
type slowEnd struct {
	laden
	closed func(error)
}

func (p *slowEnd) Closed(err error) {
	p.laden.Closed(err)
	p.closed(err)
}

// TestBudgetWaitsForEnds: what connections hold that have ended, and wait for their turn to be
// closed, still counted: another one that came to hold a little was closed for it.
func TestBudgetWaitsForEnds(t *testing.T) {
	const peers, each, more, most = 600, 109 << 10, 7 << 20, 64 << 20
	for _, test := range []struct {
		name string
		end  func(p *sim.Peer)
	}{{"FIN", (*sim.Peer).CloseWrite}, {"reset", (*sim.Peer).Reset}} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			var reason error
			ended := 0
			config := engine.Config{Loops: 1, MaxBuffered: most, Logger: quiet}
			s = onSim(t, sim.Config{Seed: 1}, config, func(c *engine.Conn) engine.Protocol {
				p := &slowEnd{laden: laden{conn: c}}
				p.closed = func(err error) {
					ended++
					s.net.Advance(400 * time.Microsecond)
				}
				p.feed = func(b []byte) (int, error) {
					if len(b) == 1 {
						p.hold(each)
					} else {
						p.closed = func(err error) { reason = err }
						p.hold(more)
					}
					return len(b), nil
				}
				return p
			})
			var all []*sim.Peer
			for range peers {
				all = append(all, s.net.Dial(s.ln.Addr()))
			}
			other := s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers+1 })
			for _, p := range all {
				p.Send([]byte("x"))
			}
			for range 10 {
				s.Step()
			}
			for _, p := range all {
				test.end(p)
			}
			s.Step()
			other.Send([]byte("more"))
			if !s.until(t, time.Second, func() bool { return ended == peers || reason != nil }) || reason != nil {
				t.Errorf("%d have ended, the other one with: %v", ended, reason)
			}
		})
	}
}
