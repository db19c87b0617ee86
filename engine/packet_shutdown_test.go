package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// farewell is a PacketProtocol that says goodbye to its last peer.
type farewell struct {
	packets
	last engine.PacketAddr
}

func (f *farewell) Datagram(from engine.PacketAddr, b []byte) {
	f.last = from
	f.conn.WriteTo(b, from)
}

func (f *farewell) Shutdown() { f.conn.WriteTo([]byte("goodbye"), f.last) }

// leaver is a session that says goodbye.
type leaver struct {
	player
	shutdown func()
}

func (l *leaver) Datagram(b []byte) { l.s.Write(b) }

func (l *leaver) Shutdown() {
	if l.shutdown != nil {
		l.shutdown()
	}
	l.s.Write([]byte("goodbye"))
}

func acceptFarewell(closed func(error)) func(*engine.PacketConn) engine.PacketProtocol {
	return func(p *engine.PacketConn) engine.PacketProtocol {
		return &farewell{packets: packets{conn: p, closed: closed}}
	}
}

func acceptLeavers(closed func(error)) func(*engine.PacketConn) engine.PacketProtocol {
	return engine.SessionConfig{}.Accept(func(s *engine.Session) engine.SessionProtocol {
		return &leaver{player: player{s: s, ended: closed}}
	})
}

// TestShutdownIsToldToPackets: what Shutdown writes arrives.
func TestShutdownIsToldToPackets(t *testing.T) {
	for _, c := range []struct {
		name   string
		accept func(closed func(error)) func(*engine.PacketConn) engine.PacketProtocol
	}{
		{name: "socket", accept: acceptFarewell},
		{name: "session", accept: acceptLeavers},
	} {
		t.Run(c.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			s, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", "127.0.0.1:0",
				c.accept(func(err error) { reasons <- err }))
			d := dialPackets(t, "udp", pl.String())
			askPacket(t, d, []byte("hello"))
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrShutdown) {
				t.Errorf("reason: %v", err)
			}
			b := make([]byte, 100)
			if n, err := d.Read(b); string(b[:n]) != "goodbye" {
				t.Errorf("the peer got %q, %v", b[:n], err)
			}
		})
	}
}

// TestCloseDoesNotCallShutdownOfPackets.
func TestCloseDoesNotCallShutdownOfPackets(t *testing.T) {
	for _, accept := range []func(*engine.PacketConn) engine.PacketProtocol{
		acceptFarewell(func(error) {}), acceptLeavers(func(error) {}),
	} {
		s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, accept)
		s.send(1, "hello")
		if !s.until(t, time.Second, func() bool { return len(s.net.Packets()) == 1 }) {
			t.Fatal("no answer")
		}
		s.BeginClose()
		for s.Step() {
		}
		if out := s.net.Packets(); len(out) != 0 {
			t.Errorf("sent: %q", out)
		}
	}
}

// TestPanicInShutdownOfPackets costs one session, and the engine ends.
func TestPanicInShutdownOfPackets(t *testing.T) {
	ended := map[string]error{}
	inner := engine.SessionConfig{}.Accept(func(s *engine.Session) engine.SessionProtocol {
		name := s.RemoteAddr().String()
		l := &leaver{player: player{s: s, ended: func(err error) { ended[name] = err }}}
		if name == "192.0.2.2:1002" {
			l.shutdown = func() { panic("boom") }
		}
		return l
	})
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, inner)
	for peer := range 3 {
		s.send(1+peer, "hello")
	}
	answers := 0
	if !s.until(t, time.Second, func() bool { answers += len(s.net.Packets()); return answers == 3 }) {
		t.Fatalf("%d answers", answers)
	}
	s.BeginShutdown()
	for s.Step() {
	}
	var to []string
	for _, p := range s.net.Packets() {
		if string(p.Data) == "goodbye" {
			to = append(to, p.To.String())
		}
	}
	slices.Sort(to)
	if got := strings.Join(to, " "); got != "192.0.2.1:1001 192.0.2.3:1003" {
		t.Errorf("told: %s", got)
	}
	var p *engine.PanicError
	if !errors.As(ended["192.0.2.2:1002"], &p) || len(ended) != 3 || s.net.Descriptors() != 0 {
		t.Errorf("%d descriptors, ended: %v", s.net.Descriptors(), ended)
	}
}
