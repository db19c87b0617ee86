package engine_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// TestResetBehindCloseIsTold: the kernel had taken everything, and the reset destroyed it. The
// reason was nil. A peer that has received everything may reset the connection, as some do to end
// it.
func TestResetBehindCloseIsTold(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		read int
		lost bool
	}{
		{name: "nothing received", size: 1 << 20, lost: true},
		{name: "some received", size: 1 << 20, read: 100_000, lost: true},
		{name: "all received", size: 1 << 20, read: 1 << 20},
		{name: "in the peer's kernel", size: 1_000}, // which has acknowledged it
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				c.Write(make([]byte, test.size))
				c.Close()
				return &reentrant{conn: c, closed: reasons}
			})
			nc, err := net.Dial("tcp", s.ln.String())
			if err != nil {
				t.Fatal(err)
			}
			c := nc.(*net.TCPConn)
			if test.lost {
				c.SetReadBuffer(8 << 10)
			}
			if test.read > 0 {
				if _, err := io.ReadFull(c, make([]byte, test.read)); err != nil {
					t.Fatal(err)
				}
			}
			if !test.lost {
				eventually(t, "acknowledgement", func() bool { return test.read+acknowledged(t, c) >= test.size })
			}
			c.SetLinger(0)
			c.Close()
			err = receive(t, "end", reasons)
			if test.lost != errors.Is(err, engine.ErrReset) || !test.lost && err != nil {
				t.Errorf("lost %v, but told %v", test.lost, err)
			}
		})
	}
}

// acknowledged returns how many bytes the kernel of c has received and nobody has read, and makes
// it acknowledge all without delay (TCP_QUICKACK of tcp(7)).
func acknowledged(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := unread(t, raw)
	raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1); err != nil {
			t.Error(err)
		}
	})
	return n
}

// unread returns how many bytes the kernel has received and nobody has read.
func unread(t *testing.T, raw syscall.RawConn) (n int) {
	t.Helper()
	raw.Control(func(fd uintptr) {
		var err error
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ); err != nil {
			t.Error(err)
		}
	})
	return n
}
