package engine_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

const canSegment = true

// segment has the kernel cut what c writes into datagrams of n bytes: UDP_SEGMENT of udp(7).
func segment(t *testing.T, c net.Conn, n int) {
	t.Helper()
	const udpSegment = 103
	needOption(t, syscall.SOCK_DGRAM, syscall.IPPROTO_UDP, udpSegment, n)
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpSegment, n) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestAbstractPeersAreAnswered: the answer went to a name with a zero more, which nobody has. A
// file whose name begins with "@" is not such a name.
func TestAbstractPeersAreAnswered(t *testing.T) {
	for _, c := range []struct{ name, local, path string }{
		{name: "abstract", local: "@myriad-test-" + fmt.Sprint(os.Getpid())},
		{name: "abstract with a zero at its end", local: "@myriad-test-" + fmt.Sprint(os.Getpid()) + "\x00"},
		{name: "file", local: "peer"},
		{name: "file with an @", local: "./@peer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, pl := listenPackets(t, engine.Config{Loops: 1}, "unixgram", "server", echoPackets)
			local := &net.UnixAddr{Name: c.local, Net: "unixgram"}
			nc, err := net.DialUnix("unixgram", local, &net.UnixAddr{Name: pl.String(), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			askPacket(t, nc, []byte("hello"))
		})
	}
}

// TestLongDatagramsAreNotCutOff: the first 64 KiB were taken for the whole.
func TestLongDatagramsAreNotCutOff(t *testing.T) {
	s, pl := listenPackets(t, engine.Config{Loops: 1}, "unixgram", filepath.Join(t.TempDir(), "server"),
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{conn: p, datagram: func(_ engine.PacketAddr, b []byte) {
				if len(b) > 64<<10 || len(b) > 0 && b[0] != byte(len(b)) {
					t.Errorf("got %d bytes", len(b))
				}
			}}
		})
	nc := dialPackets(t, "unixgram", pl.String())
	for _, size := range []int{1, 100_000, 64 << 10, 64<<10 + 1, 1} {
		b := make([]byte, size)
		b[0] = byte(size)
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all datagrams", func() bool {
		stats, err := s.Stats(t.Context())
		return err == nil && stats.PacketsReceived == 3 && stats.PacketErrors > 0
	})
}
