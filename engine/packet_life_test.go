package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestPanicCostsOneDatagram(t *testing.T) {
	s := onSimPackets(t, sim.Config{Seed: 3}, engine.Config{Loops: 1},
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(from engine.PacketAddr, b []byte) {
				if string(b) == "boom" {
					panic("boom")
				}
				p.WriteTo(b, from)
			}}
		})
	var want []string
	for i := range 50 {
		text := fmt.Sprint(i)
		if i%3 == 0 {
			text = "boom"
		} else {
			want = append(want, text)
		}
		s.send(1, text)
	}
	var got []string
	if !s.until(t, time.Second, func() bool {
		for _, p := range s.net.Packets() {
			got = append(got, string(p.Data))
		}
		return len(got) == len(want)
	}) {
		t.Fatalf("%d of %d answers", len(got), len(want))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v", got)
	}
	if n := s.StatsNow().Panics; n != 17 {
		t.Errorf("%d panics were counted", n)
	}
	if n := strings.Count(s.log.String(), "boom"); n == 0 || n > 3 {
		t.Errorf("17 panics made %d entries of the log", n)
	}
}

// packetSim is a datagram socket on a simulated network.
type packetSim struct {
	*simulated
	pl  *engine.PacketListener
	log *lockedBuffer
}

func onSimPackets(t *testing.T, n sim.Config, c engine.Config,
	accept func(*engine.PacketConn) engine.PacketProtocol) *packetSim {
	t.Helper()
	s := &packetSim{log: &lockedBuffer{}}
	c.Logger = logTo(s.log)
	s.simulated = onSim(t, n, c, echoes)
	var err error
	if s.pl, err = s.ListenPacket("udp", "127.0.0.1:0", accept); err != nil {
		t.Fatal(err)
	}
	return s
}

// send sends from outside address number peer.
func (s *packetSim) send(peer int, text string) int {
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(peer)}), uint16(1000+peer))
	return s.net.SendPacket(sim.Packet{From: from, To: s.pl.Addr(), Data: []byte(text)})
}

func TestPacketsThatTheKernelRefusesAreTold(t *testing.T) {
	type failure struct {
		to  engine.PacketAddr
		err error
	}
	failures := make(chan failure, 10)
	s, pl := listenPackets(t, engine.Config{Loops: 1}, "udp4", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{
				datagram: func(from engine.PacketAddr, b []byte) {
					if err := p.WriteTo(make([]byte, engine.MaxDatagram+1), from); !errors.Is(err, syscall.EMSGSIZE) {
						t.Errorf("a datagram that is too long: %v", err)
					}
					// from an IPv4 socket
					p.WriteTo(b, engine.PacketAddr{AddrPort: netip.MustParseAddrPort("[::1]:9")})
					p.WriteTo(b, from)
				},
				failed: func(to engine.PacketAddr, err error) { failures <- failure{to, err} },
			}
		})
	askPacket(t, dialPackets(t, "udp", pl.String()), []byte("the one behind it arrives"))
	f := receive(t, "failure", failures)
	if !errors.Is(f.err, syscall.EAFNOSUPPORT) || f.to.String() != "[::1]:9" {
		t.Errorf("%v: %v", f.to, f.err)
	}
	if n := stats(t, s.Engine).PacketErrors; n != 1 {
		t.Errorf("%d errors were counted", n)
	}
}

// TestUnixgramPeerThatDoesNotReadIsTold, and others do not wait for it.
func TestUnixgramPeerThatDoesNotReadIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server")
	var full atomic.Int32
	listenPackets(t, engine.Config{Loops: 1}, "unixgram", path, func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{
			datagram: func(from engine.PacketAddr, b []byte) { p.WriteTo(b, from) },
			failed: func(to engine.PacketAddr, err error) {
				if errors.Is(err, syscall.EAGAIN) {
					full.Add(1)
				}
			},
		}
	})
	address := func(name string) *net.UnixAddr { return &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unixgram"} }
	// not connected: the kernel bounds its queue
	deaf, err := net.ListenUnixgram("unixgram", address("deaf"))
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	other, err := net.DialUnix("unixgram", address("other"), address("server"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(patience))
	for full.Load() == 0 {
		if _, err := deaf.WriteToUnix([]byte("to the deaf"), address("server")); err != nil {
			t.Fatal(err)
		}
		askPacket(t, other, []byte("to the other"))
	}
}

func TestPacketListenerFromOtherGoroutines(t *testing.T) {
	reasons := make(chan error, 10)
	s, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(engine.PacketAddr, []byte) {}, closed: func(err error) { reasons <- err }}
		})
	d, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.SetDeadline(time.Now().Add(patience))
	to := engine.PacketAddr{AddrPort: d.LocalAddr().(*net.UDPAddr).AddrPort()}
	text := []byte("unasked")
	if err := pl.SendTo(text, to); err != nil {
		t.Fatal(err)
	}
	clear(text)
	b := make([]byte, 100)
	n, from, err := d.ReadFrom(b)
	if err != nil || string(b[:n]) != "unasked" || from.String() != pl.String() {
		t.Fatalf("%q from %v, %v", b[:n], from, err)
	}
	pl.Close()
	if err := receive(t, "reason", reasons); err != nil {
		t.Errorf("reason after Close: %v", err)
	}
	again, err := s.ListenPacket("udp", pl.String(), func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{closed: func(err error) { reasons <- err }}
	})
	if err != nil {
		t.Fatalf("the address is not free after Close: %v", err)
	}
	done := make(chan bool)
	again.Post(func(p *engine.PacketConn) {
		if p.LocalAddr() != again.Addr() || p.Listener() != again || p.Loop() != 0 {
			t.Errorf("%v, %v, %v", p.LocalAddr(), p.Listener(), p.Loop())
		}
		close(done)
	})
	receive(t, "posted call", done)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrShutdown) {
		t.Errorf("reason after Shutdown: %v", err)
	}
	if err := again.SendTo(text, to); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("SendTo after the end: %v", err)
	}
	if _, err := s.ListenPacket("udp", "127.0.0.1:0", echoPackets); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("ListenPacket after the end: %v", err)
	}
}

// TestPerLoop: a socket for each loop on one address; a peer stays with one of them.
func TestPerLoop(t *testing.T) {
	const loops = 4
	s := serve(t, engine.Config{Loops: loops}, echoes)
	pl, err := engine.PacketConfig{PerLoop: true, ReadBuffer: 1 << 20, WriteBuffer: 1 << 20}.Listen(s.Engine, "udp",
		"127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(from engine.PacketAddr, b []byte) {
				p.WriteTo([]byte{byte(p.Loop())}, from)
			}}
		})
	if err != nil {
		t.Fatal(err)
	}
	used := map[byte]bool{}
	for range 100 {
		d := dialPackets(t, "udp", pl.String())
		first := byte(255)
		for range 3 {
			b := []byte{0}
			d.Write(b)
			if _, err := d.Read(b); err != nil {
				t.Fatal(err)
			}
			if first != 255 && first != b[0] {
				t.Fatalf("a peer moved from loop %d to %d", first, b[0])
			}
			first = b[0]
			used[first] = true
		}
	}
	if len(used) < 2 {
		t.Errorf("100 peers were all served by %d of %d loops", len(used), loops)
	}
}

func TestMulticast(t *testing.T) {
	group := netip.MustParseAddr("239.77.77.77")
	got := make(chan string, 10)
	joined := make(chan error, 1)
	_, pl := listenPackets(t, engine.Config{Loops: 1}, "udp4", "0.0.0.0:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			if err := p.JoinGroup(netip.MustParseAddr("192.0.2.1"), ""); err == nil {
				t.Error("joined an address that is no group")
			}
			joined <- p.JoinGroup(group, loopback(t))
			return &packets{datagram: func(from engine.PacketAddr, b []byte) {
				got <- string(b)
				if err := p.LeaveGroup(group, loopback(t)); err != nil {
					t.Errorf("LeaveGroup: %v", err)
				}
			}}
		})
	if err := receive(t, "result of JoinGroup", joined); err != nil {
		t.Fatal(err)
	}
	out, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteToUDPAddrPort([]byte("to the group"),
		netip.AddrPortFrom(group, pl.Addr().Port())); err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	if text := receive(t, "multicast datagram", got); text != "to the group" {
		t.Errorf("got %q", text)
	}
}

func loopback(t *testing.T) string {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	t.Skip("no loopback interface")
	return ""
}

func TestListenPacketErrors(t *testing.T) {
	s, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", "127.0.0.1:0", echoPackets)
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "udp": pl.String(), "udp4": "[::1]:0",
		"udp6": "no port"} {
		if _, err := s.ListenPacket(network, address, echoPackets); err == nil ||
			!strings.Contains(err.Error(), "listen") {
			t.Errorf("%s %s: %v", network, address, err)
		}
	}
	refused, err := s.ListenPacket("udp", "127.0.0.1:0", func(*engine.PacketConn) engine.PacketProtocol { return nil })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "free address", func() bool {
		again, err := s.ListenPacket("udp", refused.String(), echoPackets)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}
