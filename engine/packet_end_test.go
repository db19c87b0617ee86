package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + i)}), 999)
}

// The ends of datagram sockets and sessions, as TestSimulatedEverything found them.

// TestPacketWrittenInFailedGoesOutBeforeClose: it was sent when the descriptor was closed, and
// perhaps another's.
func TestPacketWrittenInFailedGoesOutBeforeClose(t *testing.T) {
	closed := false
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{
				// which is refused
				datagram: func(_ engine.PacketAddr, b []byte) { p.WriteTo(b, engine.PacketAddr{}) },
				failed: func(engine.PacketAddr, error) {
					p.WriteTo([]byte("sorry"), engine.PacketAddr{AddrPort: addrOf(1)})
					p.Close()
				},
				closed: func(err error) { closed = err == nil },
			}
		})
	s.until(t, time.Second, func() bool { return s.net.Descriptors() == 3 })
	for range 3 {
		s.Step()
	}
	s.send(1, "x")
	if !s.until(t, time.Second, func() bool { return closed }) {
		t.Error("not closed")
	}
	if out := s.net.Packets(); len(out) != 1 || string(out[0].Data) != "sorry" {
		t.Errorf("sent: %v", out)
	}
}

// TestPanicInAcceptOfPackets: the socket stayed open without a PacketProtocol, and each datagram
// was another panic.
func TestPanicInAcceptOfPackets(t *testing.T) {
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(*engine.PacketConn) engine.PacketProtocol { panic("boom") })
	for range 5 {
		s.Step()
		s.send(1, "x")
	}
	if n := s.StatsNow().Panics; n != 1 || s.send(1, "x") != 0 {
		t.Errorf("%d panics, and the socket is open: %v", n, s.send(1, "x") != 0)
	}
}

// TestTimersOfAClosedPacketConnAreStopped: they kept it in memory until they were due.
func TestTimersOfAClosedPacketConnAreStopped(t *testing.T) {
	var late, kept *engine.Timer
	config := engine.Config{Loops: 1}
	s := onSimPackets(t, sim.Config{Seed: 1}, config, func(p *engine.PacketConn) engine.PacketProtocol {
		for range 3 {
			kept = p.AfterFunc(time.Hour, func() { t.Error("called") })
		}
		kept.Stop()
		return &packets{closed: func(error) { late = p.AfterFunc(time.Hour, func() { t.Error("called") }) }}
	})
	s.until(t, time.Second, func() bool { return s.StatsNow().Timers == 2 })
	s.pl.Close()
	s.until(t, time.Second, func() bool { return late != nil })
	if n := s.StatsNow().Timers; n != 0 || late == nil || late.Stop() {
		t.Errorf("%d timers are left", n)
	}
}

// TestSessionClosedByItsAcceptIsTold: Closed was not called.
func TestSessionClosedByItsAcceptIsTold(t *testing.T) {
	told := 0
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		engine.SessionConfig{}.Accept(func(s *engine.Session) engine.SessionProtocol {
			s.Close()
			return &brief{t, func(err error) { told++ }}
		}))
	s.Step()
	s.send(1, "x")
	s.until(t, time.Second, func() bool { return told > 0 })
	if n := s.StatsNow().Sessions; told != 1 || n != 0 {
		t.Errorf("Closed was called %d times, %d sessions are left", told, n)
	}
}

type brief struct {
	t      *testing.T
	closed func(error)
}

func (b *brief) Datagram([]byte)  { b.t.Error("a datagram for a session that is closed") }
func (b *brief) Closed(err error) { b.closed(err) }

// TestSendToAnEngineThatHasEnded is ErrClosed, even if much was sent before: what had waited
// counted for ever, and made it ErrBusy.
func TestSendToAnEngineThatHasEnded(t *testing.T) {
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxPosted: 1000},
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{}
		})
	s.Step()
	s.BeginClose()
	// more than a turn runs
	for s.pl.SendTo([]byte("x"), engine.PacketAddr{AddrPort: addrOf(1)}) == nil {
	}
	for s.Step() {
	}
	if err := s.pl.SendTo(make([]byte, 900), engine.PacketAddr{}); !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
	if n := s.StatsNow().Posted; n != 0 {
		t.Errorf("%d bytes wait for an engine that has ended", n)
	}
}

// TestPostBehindALoopThatHasEnded: the sockets of the loops behind it were not reached, so that
// Close left them open.
func TestPostBehindALoopThatHasEnded(t *testing.T) {
	for ended := range 3 {
		postBehind(t, ended)
	}
}

func postBehind(t *testing.T, ended int) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 3}, nothing)
	closed := map[int]bool{}
	pl, err := engine.PacketConfig{PerLoop: true}.Listen(s.Engine, "udp", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{closed: func(error) { closed[p.Loop()] = true }}
		})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.Step()
	}
	s.EndLoop(ended)
	for range 5 {
		s.Step()
	}
	if !closed[ended] || len(closed) != 1 {
		t.Fatalf("closed: %v", closed)
	}
	if err := pl.Close(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("error %v", err)
	}
	for range 5 {
		s.Step()
	}
	if len(closed) != 3 {
		t.Errorf("closed: %v, want all of three", closed)
	}
}
