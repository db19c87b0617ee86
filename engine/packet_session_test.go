package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// player is a session that counts.
type player struct {
	s     *engine.Session
	n     int
	ended func(error)
}

func (p *player) Datagram(b []byte) {
	p.n++
	switch string(b) {
	case "quit":
		p.s.Close()
	case "boom":
		panic("boom")
	default:
		p.s.Write([]byte(fmt.Sprintf("%s %d", b, p.n)))
	}
}

func (p *player) Closed(err error) { p.ended(err) }

// TestSessionShares: one address must not have all sessions. The others' datagrams were dropped.
func TestSessionShares(t *testing.T) {
	for _, test := range []struct {
		name   string
		config engine.SessionConfig
		want   int // sessions of the greedy address
	}{
		{name: "share", config: engine.SessionConfig{MaxSessions: 10}, want: 5},
		{name: "limit", config: engine.SessionConfig{MaxSessions: 10, MaxSessionsPerAddress: 2}, want: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, test.config.Accept(
				func(s *engine.Session) engine.SessionProtocol { return &player{s: s, ended: func(error) {}} }))
			sessions := func(want int, refused uint64) {
				t.Helper()
				if !s.until(t, time.Second, func() bool {
					now := s.StatsNow()
					return now.Sessions == want && now.RefusedSessions == refused
				}) {
					now := s.StatsNow()
					t.Fatalf("%d sessions, %d refused, want %d, %d", now.Sessions, now.RefusedSessions, want, refused)
				}
			}
			from := func(address string, port uint16, text string) {
				from := netip.AddrPortFrom(netip.MustParseAddr(address), port)
				s.net.SendPacket(sim.Packet{From: from, To: s.pl.Addr(), Data: []byte(text)})
			}
			for port := range 20 {
				from("192.0.2.66", uint16(1000+port), "hello")
			}
			sessions(test.want, uint64(20-test.want))
			from("192.0.2.1", 1000, "hello")
			sessions(test.want+1, uint64(20-test.want))
			from("192.0.2.66", 1000, "quit") // and there is room for another one
			sessions(test.want, uint64(20-test.want))
			from("192.0.2.66", 2000, "hello")
			sessions(test.want+1, uint64(20-test.want))
		})
	}
}

func TestSessions(t *testing.T) {
	const idle = 10 * time.Second
	ended := map[string]error{}
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		engine.SessionConfig{IdleTimeout: idle, MaxSessions: 3}.Accept(
			func(s *engine.Session) engine.SessionProtocol {
				name := s.RemoteAddr().String()
				delete(ended, name)
				return &player{s: s, ended: func(err error) { ended[name] = err }}
			}))
	ask := func(peer int, text, want string) {
		t.Helper()
		s.send(peer, text)
		got := ""
		if !s.until(t, time.Second, func() bool {
			for _, p := range s.net.Packets() {
				got = string(p.Data)
			}
			return got != ""
		}) || got != want {
			t.Fatalf("peer %d: %q was answered by %q, want %q", peer, text, got, want)
		}
	}
	has := func(name string, want error) bool {
		err, ok := ended[name]
		return ok && errors.Is(err, want)
	}
	ask(1, "hello", "hello 1")
	ask(1, "again", "again 2")
	ask(2, "hello", "hello 1")
	ask(3, "hello", "hello 1")
	s.send(4, "one too many")
	if !s.until(t, time.Second, func() bool { return s.StatsNow().RefusedSessions == 1 }) {
		t.Fatal("a session over the limit was not refused")
	}
	s.send(2, "quit")
	if !s.until(t, time.Second, func() bool { return has("192.0.2.2:1002", nil) }) {
		t.Fatalf("Close: %v", ended)
	}
	ask(4, "now there is room", "now there is room 1")
	ask(1, "and on", "and on 3")
	s.send(3, "boom")
	var p *engine.PanicError
	if !s.until(t, time.Second, func() bool { err, ok := ended["192.0.2.3:1003"]; return ok && errors.As(err, &p) }) {
		t.Fatalf("panic: %v", ended)
	}
	ask(3, "a new life", "a new life 1")

	// 1 goes on, the others fall silent.
	for i := range 4 {
		s.until(t, idle/3, func() bool { return false })
		ask(1, "still here", fmt.Sprintf("still here %d", 4+i))
	}
	if !has("192.0.2.4:1004", engine.ErrIdleTimeout) || !has("192.0.2.3:1003", engine.ErrIdleTimeout) {
		t.Fatalf("after %v of silence: %v", idle*4/3, ended)
	}
	if _, gone := ended["192.0.2.1:1001"]; gone || s.StatsNow().Sessions != 1 {
		t.Fatalf("%d sessions, ended: %v", s.StatsNow().Sessions, ended)
	}
	s.BeginShutdown()
	for s.Step() {
	}
	if !has("192.0.2.1:1001", engine.ErrShutdown) || s.StatsNow().Sessions != 0 || s.net.Descriptors() != 0 {
		t.Fatalf("%d sessions after the shutdown, %d descriptors, ended: %v", s.StatsNow().Sessions,
			s.net.Descriptors(), ended)
	}
}

// TestSessionWaitsForDatagramsThatAreThere: a late loop ended sessions whose datagrams waited in
// the socket. It waits no longer than another IdleTimeout: those that wait may be somebody else's.
func TestSessionWaitsForDatagramsThatAreThere(t *testing.T) {
	const idle = 10 * time.Second
	var reasons []error
	s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		engine.SessionConfig{IdleTimeout: idle}.Accept(func(s *engine.Session) engine.SessionProtocol {
			return &player{s: s, ended: func(err error) { reasons = append(reasons, err) }}
		}))
	answer := func(want string) {
		t.Helper()
		got := ""
		if !s.until(t, time.Second, func() bool {
			for _, p := range s.net.Packets() {
				got = string(p.Data)
			}
			return got != ""
		}) || got != want {
			t.Fatalf("answered by %q, want %q", got, want)
		}
	}
	late := func(d time.Duration) { // the loop does not get at what is there
		s.net.SetFaults(sim.Faults{ReadAgain: 1, Tick: 10 * time.Millisecond})
		s.until(t, d, func() bool { return false })
		s.net.SetFaults(sim.Faults{})
	}
	s.send(1, "hello")
	answer("hello 1")
	s.send(1, "again")
	late(idle * 3 / 2)
	answer("again 2") // of the same session
	s.send(2, "of another peer")
	late(idle * 5 / 2)
	if len(reasons) != 1 || !errors.Is(reasons[0], engine.ErrIdleTimeout) {
		t.Errorf("after %v of silence: %v", idle*5/2, reasons)
	}
}
