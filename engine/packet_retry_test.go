package engine_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestFailedThatTriesAgain: a PacketFailer that sends again what was refused is refused again. With
// more datagrams than go out at once the step of the turn that tells it never ended: no connection,
// task or timer of the loop had another turn, and the engine did not end.
func TestFailedThatTriesAgain(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, nothing)
	// Nobody can send from an IPv4 socket to an IPv6 address.
	to := engine.PacketAddr{AddrPort: netip.MustParseAddrPort("[2001:db8::1]:9")}
	opened := make(chan *engine.PacketConn, 1)
	refused := 0
	pl, err := s.ListenPacket("udp4", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
		opened <- p
		return &packets{
			datagram: func(engine.PacketAddr, []byte) {},
			failed: func(to engine.PacketAddr, err error) {
				if errno := syscall.Errno(0); !errors.As(err, &errno) {
					t.Errorf("refused because of %v", err)
				}
				refused++
				p.WriteTo([]byte("again"), to)
			},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	const datagrams = 1000
	err = pl.Post(func(p *engine.PacketConn) {
		for range datagrams {
			if err := p.WriteTo([]byte("x"), to); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "another turn", func() bool {
		n := make(chan int, 1)
		s.Post(0, func() { n <- refused })
		return receive(t, "posted function", n) > 3*datagrams
	})
}
