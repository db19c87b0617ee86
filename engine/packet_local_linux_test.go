package engine_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAnswersComeFromTheAddressThatWasAsked: the system would choose 127.0.0.1 for 127.0.0.2, and a
// connected client takes no answer from there.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	const answers = 5 // of one size: they are joined
	socket := func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{datagram: func(from engine.PacketAddr, b []byte) {
			for range answers - 1 {
				p.WriteTo(b, from)
			}
			later := bytes.Clone(b)
			p.AfterFunc(time.Millisecond, func() { p.WriteTo(later, from) })
		}}
	}
	session := engine.SessionConfig{}.Accept(func(s *engine.Session) engine.SessionProtocol {
		return &localSession{s: s, answers: answers}
	})
	for _, c := range []struct {
		name            string
		config          engine.PacketConfig
		network, listen string
		ask             []string
		accept          func(*engine.PacketConn) engine.PacketProtocol
	}{
		{name: "IPv4", network: "udp4", listen: ":0", ask: []string{"127.0.0.1", "127.0.0.2", "127.1.2.3"},
			accept: socket},
		{name: "dual stack", network: "udp", listen: "[::]:0", ask: []string{"127.0.0.2", "::1", "127.0.0.3"},
			accept: socket},
		{name: "IPv6", network: "udp6", listen: "[::]:0", ask: []string{"::1"}, accept: socket},
		{name: "sessions", network: "udp", listen: ":0", ask: []string{"127.0.0.2", "127.0.0.3", "::1"},
			accept: session},
		{name: "per loop", config: engine.PacketConfig{PerLoop: true}, network: "udp4", listen: "0.0.0.0:0",
			ask: []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}, accept: socket},
		{name: "one address", network: "udp4", listen: "127.0.0.2:0", ask: []string{"127.0.0.2"}, accept: socket},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 2}, echoes)
			pl, err := c.config.Listen(s.Engine, c.network, c.listen, c.accept)
			if err != nil {
				t.Skipf("no %s here: %v", c.network, err)
			}
			for _, address := range c.ask {
				d := dialPackets(t, "udp", net.JoinHostPort(address, fmt.Sprint(pl.Addr().Port())))
				for round := range 3 {
					want := bytes.Repeat([]byte{byte(round)}, 100)
					d.Write(want)
					for i := range answers {
						b := make([]byte, 1000)
						if n, err := d.Read(b); err != nil || !bytes.Equal(b[:n], want) {
							t.Fatalf("%s, round %d, answer %d: %d bytes, %v", address, round, i, n, err)
						}
					}
				}
			}
		})
	}
}

type localSession struct {
	s       *engine.Session
	answers int
}

func (l *localSession) Datagram(b []byte) {
	for range l.answers {
		l.s.Write(b)
	}
}

func (*localSession) Closed(error) {}

// TestLocalAddressOfADatagram: only a socket of many addresses tells it, also with datagrams that
// the kernel has joined.
func TestLocalAddressOfADatagram(t *testing.T) {
	for _, c := range []struct {
		listen, ask string
		local       netip.Addr
	}{
		{"127.0.0.2:0", "127.0.0.2", netip.Addr{}},
		{"0.0.0.0:0", "127.0.0.2", netip.MustParseAddr("127.0.0.2")},
		{"[::]:0", "127.0.0.2", netip.MustParseAddr("127.0.0.2")},
		{"[::]:0", "::1", netip.IPv6Loopback()},
	} {
		t.Run(c.listen+" asked at "+c.ask, func(t *testing.T) {
			type came struct {
				from engine.PacketAddr
				size int
			}
			got := make(chan came, 100)
			_, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", c.listen,
				func(*engine.PacketConn) engine.PacketProtocol {
					return &packets{datagram: func(from engine.PacketAddr, b []byte) { got <- came{from, len(b)} }}
				})
			d := dialPackets(t, "udp", net.JoinHostPort(c.ask, fmt.Sprint(pl.Addr().Port())))
			peer := d.LocalAddr().(*net.UDPAddr).AddrPort()
			sizes := []int{77}
			d.Write(make([]byte, 77))
			if canSegment {
				segment(t, d, 100)
				d.Write(make([]byte, 450))
				sizes = append(sizes, 100, 100, 100, 100, 50)
			}
			for _, size := range sizes {
				g := receive(t, "datagram", got)
				if want := (engine.PacketAddr{AddrPort: peer, Local: c.local}); g.from != want || g.size != size {
					t.Errorf("%d bytes of %+v, want %d of %+v", g.size, g.from, size, want)
				}
			}
		})
	}
}

// TestLocalAddressThatIsNotOurs is refused, and the socket goes on.
func TestLocalAddressThatIsNotOurs(t *testing.T) {
	refused := make(chan engine.PacketAddr, 1)
	_, pl := listenPackets(t, engine.Config{Loops: 1}, "udp4", ":0", func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{
			datagram: func(from engine.PacketAddr, b []byte) {
				wrong := from
				wrong.Local = netip.MustParseAddr("192.0.2.1")
				p.WriteTo(b, wrong)
				p.WriteTo(b, from)
			},
			failed: func(to engine.PacketAddr, err error) { refused <- to },
		}
	})
	d := dialPackets(t, "udp4", net.JoinHostPort("127.0.0.2", fmt.Sprint(pl.Addr().Port())))
	askPacket(t, d, []byte("hello"))
	if to := receive(t, "refusal", refused); to.Local != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("refused: %+v", to)
	}
}
