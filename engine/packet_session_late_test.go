package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// lateSession is one whose farewell takes long.
type lateSession struct {
	net    *sim.Network
	closed func()
}

func (lateSession) Datagram([]byte) {}
func (s lateSession) Closed(error) {
	s.net.Advance(15 * time.Millisecond)
	s.closed()
}

// TestIdleSessionOfAClosedSocket: the sessions of a socket that has ended end in parts. Those whose
// idle timeout came meanwhile asked the kernel what waits in the socket, by a descriptor that was
// closed, or somebody else's.
func TestIdleSessionOfAClosedSocket(t *testing.T) {
	const sessions = 100
	ended := 0
	var w *packetSim
	w = onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		engine.SessionConfig{IdleTimeout: time.Second}.Accept(func(*engine.Session) engine.SessionProtocol {
			return lateSession{w.net, func() { ended++ }}
		}))
	for i := range sessions {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 999)
		w.net.SendPacket(sim.Packet{From: from, To: w.pl.Addr(), Data: []byte("x")})
	}
	for range 10 {
		w.Step()
	}
	w.pl.Close()
	for turns := 0; ended < sessions; turns++ {
		if turns == 1000 {
			t.Fatalf("%d sessions have ended, of %d", ended, sessions)
		}
		w.Step()
		if err := w.net.Check(); err != nil {
			t.Fatal(err)
		}
	}
}
