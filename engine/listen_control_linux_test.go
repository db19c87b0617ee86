package engine_test

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestControl: it is called for each network, before bind, and its error is that of Listen.
func TestControl(t *testing.T) {
	failed := errors.New("not today")
	for _, c := range []struct{ network, address string }{
		{network: "tcp", address: "127.0.0.1:0"}, {network: "udp", address: "127.0.0.1:0"},
		{network: "unix", address: "stream"}, {network: "unixgram", address: "datagram"},
	} {
		t.Run(c.network, func(t *testing.T) {
			eng, err := engine.New(engine.Config{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			address := c.address
			if c.network[:2] == "un" {
				t.Chdir(t.TempDir())
				address = filepath.Join(".", address)
			}
			var fail error
			calls := 0
			control := func(network, where string, raw syscall.RawConn) error {
				calls++
				if network != c.network || where != address {
					t.Errorf("Control(%q, %q)", network, where)
				}
				raw.Control(func(fd uintptr) {
					sa, err := syscall.Getsockname(int(fd))
					if in, ok := sa.(*syscall.SockaddrInet4); err != nil || ok && in.Port != 0 {
						t.Errorf("bound already: %v, %v", sa, err)
					}
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PRIORITY, 3)
				})
				return fail
			}
			listen := func() error {
				if c.network == "udp" || c.network == "unixgram" {
					_, err := engine.PacketConfig{Control: control}.Listen(eng, c.network, address, ignores)
					return err
				}
				_, err := engine.ListenConfig{Control: control}.Listen(eng, c.network, address, echoes)
				return err
			}
			fail = failed
			if err := listen(); !errors.Is(err, failed) || calls != 1 {
				t.Errorf("Listen: %v, %d calls", err, calls)
			}
			fail = nil
			if err := listen(); err != nil || calls != 2 {
				t.Errorf("Listen: %v, %d calls", err, calls)
			}
		})
	}
}

// TestPeerCredentials asks for SO_PEERCRED of unix(7) by SyscallConn.
func TestPeerCredentials(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	peer := make(chan int32, 1)
	t.Chdir(t.TempDir())
	_, err := s.Listen("unix", "s", func(c *engine.Conn) engine.Protocol {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
			return nil
		}
		raw.Control(func(fd uintptr) {
			if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
				peer <- cred.Pid
			}
		})
		return echoOn(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if pid := receive(t, "credentials", peer); int(pid) != syscall.Getpid() {
		t.Errorf("pid %d, want our own", pid)
	}
}
