package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// crowd is a simulated engine with a socket that has many sessions, of which every end and every
// farewell takes time.
type crowd struct {
	*packetSim
	begun, told, ended int
}

const crowdWork = 20 * time.Microsecond

func newCrowd(t *testing.T, c engine.Config, n int) *crowd {
	w := new(crowd)
	sessions := engine.SessionConfig{MaxSessions: 4 * n, IdleTimeout: time.Hour}
	w.packetSim = onSimPackets(t, sim.Config{Seed: 1}, c,
		sessions.Accept(func(*engine.Session) engine.SessionProtocol {
			w.begun++
			return (*crowdSession)(w)
		}))
	for i := 0; i < n; {
		for range 50 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 999)
			i += w.net.SendPacket(sim.Packet{From: from, To: w.pl.Addr(), Data: []byte("x")})
		}
		w.Step()
	}
	for range 10 {
		w.Step()
	}
	return w
}

// TestLongDatagramsEndTheTurn: what a callback posts to others, or computes, was counted nowhere. A
// turn had 256 datagrams of one peer, which took 600 ms if each was written to 1,000 connections.
func TestLongDatagramsEndTheTurn(t *testing.T) {
	const datagrams, work, most = 256, 300 * time.Microsecond, 5 * time.Millisecond
	got := 0
	var s *packetSim
	s = onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(*engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(engine.PacketAddr, []byte) {
				got++
				s.net.Advance(work)
			}}
		})
	for range datagrams {
		s.net.SendPacket(sim.Packet{From: addrOf(1), To: s.pl.Addr(), Data: []byte{1}})
	}
	for turn := 0; got < datagrams; turn++ {
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > most && took < time.Second {
			t.Fatalf("turn %d took %v", turn, took)
		}
		if turn == datagrams {
			t.Fatalf("%d were delivered", got)
		}
	}
}

// TestLongDatagramsAtTheEnd: when the engine shut down, all datagrams that had been received were
// delivered in one turn, thousands of them if the kernel had joined some.
func TestLongDatagramsAtTheEnd(t *testing.T) {
	const datagrams, work, most = 40, 300 * time.Microsecond, 5 * time.Millisecond
	got, ended := 0, false
	var s *packetSim
	s = onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(*engine.PacketConn) engine.PacketProtocol {
			return &packets{
				datagram: func(engine.PacketAddr, []byte) {
					got++
					s.net.Advance(work)
				},
				closed: func(error) { ended = true },
			}
		})
	s.Step()
	for range datagrams {
		s.net.SendPacket(sim.Packet{From: addrOf(1), To: s.pl.Addr(), Data: []byte{1}})
	}
	s.BeginShutdown()
	for turn := 0; !ended; turn++ {
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > most && took < time.Second {
			t.Fatalf("turn %d took %v", turn, took)
		}
		if turn == datagrams {
			t.Fatal("it does not end")
		}
	}
	if got <= datagrams/2 { // the rest was still in the kernel
		t.Errorf("%d datagrams of %d were delivered", got, datagrams)
	}
}

// TestSessionsThatEndCount: what a peer begins may end at once, when its first datagram makes no
// sense. Those that waited for Closed counted no more, so with a Closed that takes longer than a
// datagram there were ever more of them, whatever MaxSessions was.
func TestSessionsThatEndCount(t *testing.T) {
	const most = 100
	for name, inAccept := range map[string]bool{"in Datagram": false, "in accept": true} {
		t.Run(name, func(t *testing.T) {
			begun, ended := 0, 0
			var s *packetSim
			config := engine.SessionConfig{MaxSessions: most}
			s = onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, config.Accept(
				func(session *engine.Session) engine.SessionProtocol {
					begun++
					p := &player{s: session, ended: func(error) {
						ended++
						s.net.Advance(crowdWork)
					}}
					if inAccept {
						session.Close()
					}
					return p
				}))
			for range 200 {
				for peer := range 50 {
					s.send(peer, "quit")
				}
				s.Step()
				if n := begun - ended; n > most {
					t.Fatalf("%d sessions have begun that have not ended", n)
				}
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			}
			s.until(t, time.Second, func() bool { return begun == ended })
			if n := s.StatsNow(); begun < 1000 || n.Sessions != 0 || n.Held != 0 {
				t.Errorf("%d have begun, %d have ended, %d are left, with %d bytes", begun, ended, n.Sessions, n.Held)
			}
			s.send(7, "hello") // there is room
			s.until(t, time.Second, func() bool { return begun > ended })
			if s.StatsNow().Sessions == 0 && !inAccept {
				t.Error("no session begins any more")
			}
		})
	}
}

type crowdSession crowd

func (s *crowdSession) Datagram([]byte) {}

func (s *crowdSession) Shutdown() {
	s.told++
	s.net.Advance(crowdWork)
}

func (s *crowdSession) Closed(error) {
	s.ended++
	s.net.Advance(crowdWork)
}

// turns turns the loop until done, and checks that no turn takes long.
func (w *crowd) turns(t *testing.T, done func() bool) {
	t.Helper()
	for turns := 0; !done(); turns++ {
		begin := w.net.Now()
		w.Step()
		if took := w.net.Now() - begin; took > 2*time.Millisecond {
			t.Fatalf("a turn took %v, %d sessions are told, %d have ended", took, w.told, w.ended)
		}
		if err := w.net.Check(); err != nil {
			t.Fatal(err)
		}
		if turns == 10_000 {
			t.Fatalf("%d sessions are told, %d have ended", w.told, w.ended)
		}
	}
}

// TestSessionsEndInParts: all sessions of a socket were closed in one turn, and told of the
// shutdown in one turn. 65,536 of them take 50 ms and more.
func TestSessionsEndInParts(t *testing.T) {
	const sessions = 2000
	t.Run("Close", func(t *testing.T) {
		w := newCrowd(t, engine.Config{Loops: 1}, sessions)
		w.pl.Close()
		w.turns(t, func() bool { return w.ended == w.begun })
		if n := w.StatsNow().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
	t.Run("Close, then they are idle", func(t *testing.T) { // and the descriptor is closed
		w := newCrowd(t, engine.Config{Loops: 1}, sessions)
		w.pl.Close()
		w.Step()
		w.net.Advance(time.Hour + time.Minute)
		w.turns(t, func() bool { return w.ended == w.begun })
	})
	t.Run("Shutdown", func(t *testing.T) {
		w := newCrowd(t, engine.Config{Loops: 1}, sessions)
		w.BeginShutdown()
		w.turns(t, func() bool {
			w.send(7, "x") // no session begins any more
			return w.ended == w.begun
		})
		if w.told != w.begun {
			t.Errorf("%d of %d sessions are told", w.told, w.begun)
		}
	})
}

// TestSessionsLeaveRoomForConnections: sessions, which nobody closes for that, could take all of
// the budget. Then every connection was closed that had anything.
func TestSessionsLeaveRoomForConnections(t *testing.T) {
	const most = 1 << 20
	w := newCrowd(t, engine.Config{Loops: 1, MaxBuffered: most}, 4000) // 1.6 MB
	if n := w.Buffered(); n > most*5/8 {
		t.Errorf("sessions take %d bytes of %d", n, most)
	}
	if s := w.StatsNow(); s.RefusedSessions == 0 || s.Sessions < 1000 {
		t.Errorf("%d sessions, %d are refused", s.Sessions, s.RefusedSessions)
	}
}
