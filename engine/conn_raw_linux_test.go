package engine_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// tcpOptions are read by name from a connection's descriptor.
var tcpOptions = []struct {
	name              string
	level, option, to int
}{
	{name: "TCP_NODELAY", level: syscall.IPPROTO_TCP, option: syscall.TCP_NODELAY, to: 0},
	{name: "SO_KEEPALIVE", level: syscall.SOL_SOCKET, option: syscall.SO_KEEPALIVE, to: 0},
	{name: "TCP_KEEPIDLE", level: syscall.IPPROTO_TCP, option: syscall.TCP_KEEPIDLE, to: 77},
	{name: "TCP_KEEPINTVL", level: syscall.IPPROTO_TCP, option: syscall.TCP_KEEPINTVL, to: 7},
	{name: "TCP_KEEPCNT", level: syscall.IPPROTO_TCP, option: syscall.TCP_KEEPCNT, to: 3},
}

// TestReleaseKeepsOptions: those that SyscallConn has set, against the will of package net. It also
// checks that SyscallConn ends with the connection.
func TestReleaseKeepsOptions(t *testing.T) {
	released := make(chan net.Conn, 1)
	stale := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
			return nil
		}
		return &proto{feed: func(b []byte) (int, error) {
			raw.Control(func(fd uintptr) {
				for _, o := range tcpOptions {
					if err := syscall.SetsockoptInt(int(fd), o.level, o.option, o.to); err != nil {
						t.Errorf("%s: %v", o.name, err)
					}
				}
			})
			return len(b), c.Release(func(nc net.Conn, _, _ []byte, err error) {
				stale <- raw.Control(func(uintptr) { t.Error("the descriptor of a released connection") })
				released <- nc
			})
		}}
	})
	s.dial(t).Write([]byte("x"))
	if err := receive(t, "answer", stale); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Control after Release: %v", err)
	}
	nc := receive(t, "connection", released)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for _, o := range tcpOptions {
			if got, err := syscall.GetsockoptInt(int(fd), o.level, o.option); got != o.to || err != nil {
				t.Errorf("%s is %d, %v; want %d", o.name, got, err, o.to)
			}
		}
	})
}
