package websocket_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// rawPeer is a client that costs the heap nothing, since what it would own shares the heap with the server.
func rawPeer(t *testing.T, port int) (fd int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func exchange(t *testing.T, fd int, send, want []byte, scratch []byte) {
	t.Helper()
	if _, err := syscall.Write(fd, send); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(want); {
		k, err := syscall.Read(fd, scratch)
		if k <= 0 {
			t.Fatalf("%d, %v", k, err)
		}
		n += k
	}
}

type tcpEcho struct{ c *engine.Conn }

func (e *tcpEcho) Feed(b []byte) (int, error) {
	e.c.Write(b)
	return len(b), nil
}
func (e *tcpEcho) Closed(error) {}

// TestHeapOfIdleConnections is the memory promise: heap per connection, everything included, after each has echoed a
// message and become idle.
func TestHeapOfIdleConnections(t *testing.T) {
	const conns = 2000
	request := []byte(strings.ReplaceAll("GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n"+
		"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\n", "\n", "\r\n"))
	tests := []struct {
		name    string
		limit   int // bytes
		accept  func(*engine.Conn) engine.Protocol
		request []byte
		send    []byte
		want    []byte
	}{
		{name: "TCP", limit: 192, accept: func(c *engine.Conn) engine.Protocol { return &tcpEcho{c} },
			send: []byte("hello"), want: []byte("hello")},
		{name: "WebSocket", limit: 256, accept: (&websocket.Server{Message: echo}).Accept, request: request,
			send: []byte("\x82\x85\x00\x00\x00\x00hello"), want: []byte("\x82\x05hello")},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			eng, err := engine.New(engine.Config{Loops: 1})
			if err != nil {
				t.Fatal(err)
			}
			ln, err := eng.Listen("tcp", "127.0.0.1:0", c.accept)
			if err != nil {
				t.Fatal(err)
			}
			go eng.Run(t.Context())
			defer eng.Close()
			port, scratch := int(ln.Addr().Port()), make([]byte, 4096)
			peers := make([]int, 0, conns)
			defer func() {
				for _, fd := range peers {
					syscall.Close(fd)
				}
			}()
			open := func() {
				fd := rawPeer(t, port)
				peers = append(peers, fd)
				if c.request != nil {
					exchange(t, fd, c.request, make([]byte, 129), scratch)
				}
				exchange(t, fd, c.send, c.want, scratch)
			}
			open() // what the first one needs is there for all
			before := heap()
			for range conns - 1 {
				open()
			}
			perConn := int(heap()-before) / (conns - 1)
			t.Logf("%d bytes of heap per idle connection", perConn)
			if perConn > c.limit {
				t.Errorf("%d bytes of heap per idle connection, limit %d", perConn, c.limit)
			}
		})
	}
}
