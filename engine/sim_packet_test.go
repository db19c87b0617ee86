package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSimulatedPackets: datagram sockets, with and without sessions, in a network that loses,
// doubles and reorders: each datagram that arrives is answered once, at the peer that sent it; one
// whose handler panics costs no other.
func TestSimulatedPackets(t *testing.T) { simulate(t, seeds(t), exchangePackets) }

// packetRun counts what goes in and out, by peer and text.
type packetRun struct {
	want, got map[string]int
	asked     map[netip.AddrPort]netip.Addr // by each peer
	open      int                           // protocols that were not told of their end
	failed    error
	broken    error // why the socket was closed: no memory
}

func exchangePackets(tr *trial) error {
	rng := rand.New(rand.NewPCG(tr.seed, 11))
	network := tr.network(sim.Config{Faults: sim.DrawFaults(tr.seed)})
	eng, err := engine.NewOn(network, engine.Config{Loops: 1 + rng.IntN(2), MaxOutbound: 1 << (6 + rng.IntN(14)),
		Logger: logTo(&lockedBuffer{})})
	if err != nil {
		return err
	}
	r := &packetRun{want: map[string]int{}, got: map[string]int{}, asked: map[netip.AddrPort]netip.Addr{}}
	accept := r.plain
	if rng.IntN(2) == 0 {
		accept = engine.SessionConfig{IdleTimeout: time.Second}.Accept(r.session)
	}
	pc, asked, address := engine.PacketConfig{PerLoop: rng.IntN(2) == 0}, []string{"127.0.0.1"}, "127.0.0.1:0"
	if tr.seed%3 == 0 { // of several addresses, the one that was asked answers
		asked, address = []string{"127.0.0.1", "127.0.0.2", "192.0.2.77"}, "0.0.0.0:0"
	}
	pl, err := pc.Listen(eng, "udp", address, accept)
	if err != nil {
		return err
	}
	for i := range 200 {
		for range rng.IntN(4) {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(5))}), 999)
			text := fmt.Sprint(i)
			if rng.IntN(50) == 0 {
				text = "boom"
			}
			to := netip.MustParseAddr(asked[int(from.Addr().As4()[3])%len(asked)])
			r.asked[from] = to
			network.SendPacket(sim.Packet{From: from, To: netip.AddrPortFrom(to, pl.Addr().Port()), Data: []byte(text)})
		}
		if rng.IntN(20) == 0 {
			pl.SendTo([]byte("x"), engine.PacketAddr{}) // cannot be sent
		}
		if err := r.turn(eng, network); err != nil {
			return err
		}
	}
	network.SetFaults(sim.Faults{Tick: time.Millisecond})
	for range 200 {
		if err := r.turn(eng, network); err != nil {
			return err
		}
	}
	// Without a session, nobody is told that the socket has failed.
	untold := r.open == 0 && network.Counts().NoMemory > 0
	for text, n := range r.want {
		if r.got[text] != n && r.broken == nil && !untold {
			return fmt.Errorf("%s was answered %d times, want %d", text, r.got[text], n)
		}
	}
	eng.BeginShutdown()
	for eng.Step() {
	}
	if n := network.Descriptors(); n != 0 || r.open != 0 {
		return fmt.Errorf("%d descriptors are open, %d were not told of their end", n, r.open)
	}
	return eng.Left(0)
}

func (r *packetRun) turn(eng *engine.Engine, network *sim.Network) error {
	eng.Step()
	for _, p := range network.Packets() {
		if asked := r.asked[p.To]; p.From.Addr() != asked {
			return fmt.Errorf("%v has asked %v, and %v answers", p.To, asked, p.From)
		}
		key := fmt.Sprint(p.To, " ", string(p.Data))
		if r.got[key]++; r.got[key] > r.want[key] {
			return fmt.Errorf("%s was answered %d times, and came %d times", key, r.got[key], r.want[key])
		}
	}
	return errors.Join(r.failed, eng.Check(), network.Check())
}

// came notes a datagram that is about to be answered by write.
func (r *packetRun) came(from engine.PacketAddr, b []byte, write func() error) {
	if string(b) == "boom" {
		panic("boom")
	}
	switch err := write(); {
	case err == nil:
		r.want[fmt.Sprint(from, " ", string(b))]++
	case !errors.Is(err, engine.ErrOutboundLimit) && !errors.Is(err, engine.ErrClosed):
		r.failed = err
	}
}

func (r *packetRun) plain(p *engine.PacketConn) engine.PacketProtocol {
	r.open++
	return &packets{
		datagram: func(from engine.PacketAddr, b []byte) {
			r.came(from, b, func() error { return p.WriteTo(b, from) })
		},
		closed: func(err error) { r.open--; r.end(err) },
	}
}

type packetSession struct {
	r *packetRun
	s *engine.Session
}

func (r *packetRun) session(s *engine.Session) engine.SessionProtocol {
	r.open++
	return &packetSession{r, s}
}

func (s *packetSession) Datagram(b []byte) {
	s.r.came(s.s.RemoteAddr(), b, func() error { return s.s.Write(b) })
}

func (s *packetSession) Closed(err error) {
	s.r.open--
	s.r.end(err)
}

func (r *packetRun) end(err error) {
	if errors.Is(err, syscall.ENOMEM) {
		r.broken = err
	}
}
