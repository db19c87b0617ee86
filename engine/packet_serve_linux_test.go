package engine_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// servePacketConn lets an engine take c over. It returns another descriptor of c's socket, as
// another process may have it.
func servePacketConn(t *testing.T, s *server, c net.PacketConn) (*engine.PacketListener, *os.File) {
	t.Helper()
	other, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	pl, err := engine.PacketConfig{}.Serve(s.Engine, c, echoPackets)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket was left open: %v", err)
	}
	return pl, other
}

// TestServeTakesOverAPacketConn, with what waits in it and with its options.
func TestServeTakesOverAPacketConn(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, echoes)
	c, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadBuffer(54321)
	d := dialPackets(t, "udp4", net.JoinHostPort("127.0.0.2", port(c.LocalAddr())))
	d.Write([]byte("early"))
	pl, other := servePacketConn(t, s, c)
	b := make([]byte, 100)
	if pl.String() != c.LocalAddr().String() {
		t.Errorf("String is %q, want %q", pl, c.LocalAddr())
	}
	// It came before anybody asked for the local address, which its answer may not have.
	early := dialPackets(t, "udp4", net.JoinHostPort("127.0.0.1", port(c.LocalAddr())))
	askPacket(t, early, []byte("hello"))
	askPacket(t, dialPackets(t, "udp4", net.JoinHostPort("127.0.0.2", port(c.LocalAddr()))), []byte("hello"))
	if n := stats(t, s.Engine).PacketsReceived; n != 3 {
		t.Errorf("%d datagrams came, want 3", n)
	}
	for _, o := range []struct{ level, name, want int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 2 * 54321},
		{unix.IPPROTO_UDP, unix.UDP_GRO, 0}, // another process may not know it
	} {
		if v, err := unix.GetsockoptInt(int(other.Fd()), o.level, o.name); err == nil && v != o.want {
			t.Errorf("option %d/%d is %d, want %d", o.level, o.name, v, o.want)
		}
	}
	// Fd has made the socket block, for all who have it.
	for range 3 {
		askPacket(t, early, []byte("again"))
	}
	stats(t, s.Engine)
	pl.Close()
	eventually(t, "end", func() bool {
		unix.Recvfrom(int(other.Fd()), b, unix.MSG_DONTWAIT)
		early.Write([]byte("for the other"))
		n, _, err := unix.Recvfrom(int(other.Fd()), b, unix.MSG_DONTWAIT)
		return err == nil && string(b[:n]) == "for the other"
	})
}

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// TestServeOfAUnixgramKeepsItsFile, which is not the engine's.
func TestServeOfAUnixgramKeepsItsFile(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	path := filepath.Join(t.TempDir(), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	pl, _ := servePacketConn(t, s, c)
	d, err := net.DialUnix("unixgram", &net.UnixAddr{Name: path + ".peer", Net: "unixgram"},
		&net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	askPacket(t, d, []byte("hello"))
	if pl.String() != path {
		t.Errorf("String is %q, want %q", pl, path)
	}
	pl.Close()
	s.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a path that is not the engine's was removed: %v", err)
	}
}

// TestServeRefusesPacketConns that it cannot serve, and leaves them open.
func TestServeRefusesPacketConns(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	connected := dialPackets(t, "udp", udp.LocalAddr().String()).(*net.UDPConn)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(pair[1])
	f := os.NewFile(uintptr(pair[0]), "")
	stream, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, c := range []struct {
		name   string
		config engine.PacketConfig
		conn   net.PacketConn
	}{
		{name: "PerLoop", config: engine.PacketConfig{PerLoop: true}, conn: udp},
		{name: "connected", conn: connected},
		{name: "stream", conn: stream.(*net.UnixConn)},
		{name: "unknown", conn: struct{ net.PacketConn }{udp}},
		{name: "nil", conn: nil},
	} {
		if pl, err := c.config.Serve(s.Engine, c.conn, echoPackets); err == nil {
			t.Errorf("%s: serves %v", c.name, pl)
		}
		if c.conn != nil && errors.Is(c.conn.SetDeadline(time.Time{}), net.ErrClosed) {
			t.Errorf("%s: closed", c.name)
		}
	}
	s.Close()
	if _, err := (engine.PacketConfig{}).Serve(s.Engine, udp, echoPackets); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if err := udp.SetDeadline(time.Time{}); err != nil {
		t.Errorf("closed by a Serve that failed: %v", err)
	}
}

// TestSendToUsesAllSockets: with PerLoop, the first loop had to send what all others were asked to.
func TestSendToUsesAllSockets(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, echoes)
	pl, err := engine.PacketConfig{PerLoop: true}.Listen(s.Engine, "udp4", "127.0.0.1:0", echoPackets)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		to := engine.PacketAddr{AddrPort: peer.LocalAddr().(*net.UDPAddr).AddrPort()}
		if err := pl.SendTo([]byte("hello"), to); err != nil {
			t.Fatal(err)
		}
		peer.SetDeadline(time.Now().Add(patience))
		b := make([]byte, 10)
		if n, from, err := peer.ReadFrom(b); string(b[:n]) != "hello" || from.String() != pl.String() {
			t.Fatalf("got %q from %v, %v", b[:n], from, err)
		}
	}
	eventually(t, "datagrams of both loops", func() bool {
		stats, err := s.Stats(t.Context())
		return err == nil && stats.PacketsSent == 16 && stats.Loops[0].PacketsSent > 0 && stats.Loops[1].PacketsSent > 0
	})
}
