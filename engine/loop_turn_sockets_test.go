package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestManySocketsShareATurn: each datagram socket had its share of each turn, and each listener
// too. 1,000 sockets with 64 datagrams each made a turn of 98 ms, and 500 listeners one of 30 ms.
func TestManySocketsShareATurn(t *testing.T) {
	const sockets, each, work, most = 200, 8, 20 * time.Microsecond, 8 * time.Millisecond
	t.Run("datagrams", func(t *testing.T) {
		var s *simulated
		got := make([]int, sockets)
		s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
		var all []*engine.PacketListener
		for i := range sockets {
			pl, err := s.ListenPacket("udp", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
				return &packets{datagram: func(engine.PacketAddr, []byte) {
					got[i]++
					s.net.Advance(work)
				}}
			})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pl)
		}
		s.Step()
		for turns := range 500 {
			for _, pl := range all {
				for range each {
					s.net.SendPacket(sim.Packet{From: addrOf(1), To: pl.Addr(), Data: []byte{1}})
				}
			}
			begin := s.net.Now()
			s.Step()
			if took := s.net.Now() - begin; took > most {
				t.Fatalf("turn %d took %v", turns, took)
			}
		}
		for i, n := range got {
			if n < 50 {
				t.Errorf("socket %d got %d datagrams: %v", i, n, got)
				break
			}
		}
	})
	t.Run("listeners", func(t *testing.T) {
		var s *simulated
		accepted := 0
		s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
		var all []*engine.Listener
		for range sockets {
			ln, err := s.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
				accepted++
				s.net.Advance(work)
				return echoOn(c)
			})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ln)
		}
		s.Step()
		for _, ln := range all {
			for range each {
				s.net.Dial(ln.Addr())
			}
		}
		for turns := 0; accepted < sockets*each; turns++ {
			begin := s.net.Now()
			s.Step()
			if took := s.net.Now() - begin; took > most {
				t.Fatalf("turn %d took %v", turns, took)
			}
			if turns == sockets*each {
				t.Fatalf("%d are accepted", accepted)
			}
		}
	})
}

// toldPackets is told of the engine's shutdown.
type toldPackets struct {
	packets
	told func()
}

func (p *toldPackets) Shutdown() { p.told() }

// TestManySocketsEndInParts: all sockets that had been closed ended in one turn, and a socket heard
// of all its datagrams that the kernel had refused. Later, all were still told of a shutdown in one
// turn: 3,000 farewells took 12 ms.
func TestManySocketsEndInParts(t *testing.T) {
	const sockets, refused, work, most = 200, 2000, 20 * time.Microsecond, 2 * time.Millisecond
	for _, test := range []struct {
		name string
		end  func(s *simulated, all []*engine.PacketConn)
		want int
	}{
		{"Close", func(_ *simulated, all []*engine.PacketConn) {
			for _, p := range all {
				p.Close()
			}
		}, sockets},
		{"Shutdown", func(s *simulated, _ []*engine.PacketConn) { s.BeginShutdown() }, sockets},
		{"Shutdown that they are told of", func(s *simulated, _ []*engine.PacketConn) {
			s.BeginShutdown()
		}, 2 * sockets},
		{"refused", func(_ *simulated, all []*engine.PacketConn) {
			for range refused {
				all[0].WriteTo([]byte("x"), engine.PacketAddr{})
			}
		}, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s *simulated
			calls := 0
			one := func() {
				calls++
				s.net.Advance(work)
			}
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
			var all []*engine.PacketConn
			for range sockets {
				if _, err := s.ListenPacket("udp", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
					all = append(all, p)
					heard := packets{closed: func(error) { one() }, failed: func(engine.PacketAddr, error) { one() }}
					if test.want == 2*sockets {
						return &toldPackets{heard, one}
					}
					return &heard
				}); err != nil {
					t.Fatal(err)
				}
			}
			s.until(t, time.Second, func() bool { return len(all) == sockets })
			s.InTurn(0, func() { test.end(s, all) })
			for turns := 0; calls < test.want; turns++ {
				begin := s.net.Now()
				s.Step()
				if took := s.net.Now() - begin; took > most {
					t.Fatalf("a turn took %v, %d calls", took, calls)
				}
				if turns == test.want {
					t.Fatalf("%d calls", calls)
				}
			}
		})
	}
}

// TestBusyConnectionsLeaveRoomForDatagrams: connections that use up the time of every turn do not
// keep a socket waiting, which has many peers.
func TestBusyConnectionsLeaveRoomForDatagrams(t *testing.T) {
	const busy, turns = 50, 200
	var s *packetSim
	got := 0
	s = onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(*engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(engine.PacketAddr, []byte) { got++ }}
		})
	ln, err := s.Listen("tcp", "127.0.0.1:0", func(*engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			s.net.Advance(2 * time.Millisecond)
			return len(b), nil
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	var peers []*sim.Peer
	for range busy {
		peers = append(peers, s.net.Dial(ln.Addr()))
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == busy })
	for range turns {
		for _, p := range peers {
			p.Send([]byte("x"))
		}
		s.send(1, "x")
		s.Step()
	}
	if got < turns*9/10 {
		t.Errorf("%d datagrams in %d turns", got, turns)
	}
}
