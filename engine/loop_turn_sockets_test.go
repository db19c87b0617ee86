package engine_test

import (
	"net/netip"
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
		for turns := range 1000 {
			for _, pl := range all {
				for range each {
					s.net.SendPacket(sim.Packet{From: netip.MustParseAddrPort("192.0.2.1:999"), To: pl.Addr(), Data: []byte{1}})
				}
			}
			begin := s.net.Now()
			s.Step()
			if took := s.net.Now() - begin; took > most {
				t.Fatalf("turn %d took %v", turns, took)
			}
		}
		for i, n := range got {
			if n < 100 {
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
