package engine_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// TestListenOptionsReachConnections, by inheritance or one by one.
func TestListenOptionsReachConnections(t *testing.T) {
	lc := engine.ListenConfig{KeepAlive: 41500 * time.Millisecond, ReadBuffer: 20_000, WriteBuffer: 30_000}
	for _, test := range []struct {
		name, network string
		serve         bool
	}{
		{name: "Listen", network: "tcp"},
		{name: "Serve", network: "tcp", serve: true},
		{name: "Listen", network: "unix"},
		{name: "Serve", network: "unix", serve: true},
	} {
		t.Run(test.name+" "+test.network, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
			want := map[string]int{"SO_RCVBUF": 40_000, "SO_SNDBUF": 60_000}
			if test.network == "tcp" {
				want["SO_KEEPALIVE"], want["TCP_KEEPIDLE"], want["TCP_NODELAY"] = 1, 42, 1
			}
			options := make(chan map[string]int, 1)
			accept := func(c *engine.Conn) engine.Protocol {
				got := map[string]int{}
				got["SO_RCVBUF"], _ = unix.GetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF)
				got["SO_SNDBUF"], _ = unix.GetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF)
				got["SO_KEEPALIVE"], _ = unix.GetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
				got["TCP_KEEPIDLE"], _ = unix.GetsockoptInt(c.FD(), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
				got["TCP_NODELAY"], _ = unix.GetsockoptInt(c.FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
				options <- got
				return echoOn(c)
			}
			address := "127.0.0.1:0"
			if test.network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			var ln *engine.Listener
			var err error
			if test.serve {
				var nl net.Listener
				if nl, err = net.Listen(test.network, address); err == nil {
					ln, err = lc.Serve(s.Engine, nl, accept)
				}
			} else {
				ln, err = lc.Listen(s.Engine, test.network, address, accept)
			}
			if err != nil {
				t.Fatal(err)
			}
			peer, err := net.Dial(test.network, ln.String())
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			got := receive(t, "connection", options)
			for name, w := range want {
				if got[name] != w {
					t.Errorf("%s is %d, want %d", name, got[name], w)
				}
			}
		})
	}
}

// TestPlaceByAddress: connections of one client address meet on one loop, and those of many
// addresses are on all.
func TestPlaceByAddress(t *testing.T) {
	s := serve(t, engine.Config{Loops: 3}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	loops := make(chan int, 1)
	ln, err := engine.ListenConfig{PlaceByAddress: true}.Listen(s.Engine, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol {
			loops <- c.Loop()
			return echoOn(c)
		})
	if err != nil {
		t.Fatal(err)
	}
	used := map[int]int{}
	for client := range 40 {
		for i := range 3 {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(client+2))}}
			c, err := dialer.Dial("tcp", ln.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			loop := receive(t, "connection", loops)
			if before, ok := used[client]; ok && before != loop {
				t.Fatalf("connection %d of client %d is on loop %d, another one on %d", i, client, loop, before)
			}
			used[client] = loop
		}
	}
	clients := [3]int{}
	for _, loop := range used {
		clients[loop]++
	}
	if min(clients[0], clients[1], clients[2]) < 5 {
		t.Errorf("the loops have %v clients", clients)
	}
	both := engine.ListenConfig{PlaceByAddress: true, FollowCPU: true}
	if _, err := both.Listen(s.Engine, "tcp", "127.0.0.1:0", echoes); err == nil ||
		!strings.Contains(err.Error(), "exclude") {
		t.Errorf("with FollowCPU: %v", err)
	}
}
