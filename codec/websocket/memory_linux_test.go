package websocket_test

import (
	"cmp"
	"strings"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// rawPeer is a client that costs the heap nothing, since what it would own shares the heap with the
// server.
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

// accepted is the answer to the handshake without extensions, but for the empty line.
const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n"

func exchange(t *testing.T, fd int, send, want string, scratch []byte) {
	t.Helper()
	if _, err := syscall.Write(fd, []byte(send)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < len(want) {
		k, err := syscall.Read(fd, scratch[n:])
		if k <= 0 {
			t.Fatalf("%d, %v", k, err)
		}
		n += k
	}
	if string(scratch[:n]) != want {
		t.Fatalf("%q, want %q", scratch[:n], want)
	}
}

type tcpEcho struct{ c *engine.Conn }

func (e *tcpEcho) Feed(b []byte) (int, error) {
	e.c.Write(b)
	return len(b), nil
}
func (e *tcpEcho) Closed(error) {}

// TestHeapOfIdleConnections is the memory promise: heap per connection, everything included, after
// each has echoed a message and become idle.
func TestHeapOfIdleConnections(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	const hello, echoed = "\x82\x85\x00\x00\x00\x00hello", "\x82\x05hello"
	// A connection that compresses is asked for d, and sent a message that it sends back
	// compressed, too.
	deflated := func(d wsproto.Deflate) (req, answer, send, want string) {
		extension := "Sec-WebSocket-Extensions: " + string(handshake.AppendDeflate(nil, d)) + "\r\n"
		message := []byte(strings.Repeat("tick 12345 price 678.90;", 100))
		bits := cmp.Or(d.ServerMaxWindowBits, wsproto.MaxWindowBits)
		out := deflate.New(deflate.Compression{}).Append(nil, message, nil, bits)
		h := wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Binary, Length: uint64(len(out))}
		want = string(append(wsproto.AppendHeader(nil, h), out...))
		h.Masked = true // with the key 0
		return request + extension + "\r\n", accepted + extension + "\r\n",
			string(append(wsproto.AppendHeader(nil, h), out...)), want
	}
	compressing := func(bits int, takeover bool) func(*engine.Conn) engine.Protocol {
		return (&websocket.Server{Message: echo,
			Compression: &websocket.Compression{ServerTakeover: takeover, ClientTakeover: takeover,
				ServerWindowBits: bits, ClientWindowBits: bits}}).Accept
	}
	tests := []struct {
		name    string
		limit   int // bytes
		conns   int
		accept  func(*engine.Conn) engine.Protocol
		deflate *wsproto.Deflate
		want    string // instead of the echo
	}{
		{name: "TCP", limit: 192, conns: 2000, accept: func(c *engine.Conn) engine.Protocol { return &tcpEcho{c} }},
		{name: "WebSocket", limit: 256, conns: 2000, accept: (&websocket.Server{Message: echo}).Accept},
		{name: "WebSocket, in pieces", limit: 256, conns: 2000,
			accept: (&websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
				c.SendPiece(op, data[:2], false)
				c.SendPiece(op, data[2:], true)
			}}).Accept, want: "\x02\x02he\x80\x03llo"},
		{name: "WebSocket, compressing", limit: 288, conns: 2000, accept: compressing(15, false),
			deflate: &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
		{name: "WebSocket, takeover, windows of 9 bits", limit: 1536, conns: 1000, accept: compressing(9, true),
			deflate: &wsproto.Deflate{ServerMaxWindowBits: 9, ClientMaxWindowBits: 9}},
		{name: "WebSocket, takeover, windows of 15 bits", limit: 66 << 10, conns: 100, accept: compressing(15, true),
			deflate: &wsproto.Deflate{}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			// whose timer holds the last engine for a while
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
			peers := make([]int, 0, c.conns)
			defer func() {
				for _, fd := range peers {
					syscall.Close(fd)
				}
			}()
			req, answer, send, want := request+"\r\n", accepted+"\r\n", hello, cmp.Or(c.want, echoed)
			if c.deflate != nil {
				req, answer, send, want = deflated(*c.deflate)
			}
			open := func() {
				fd := rawPeer(t, port)
				peers = append(peers, fd)
				if c.name != "TCP" {
					exchange(t, fd, req, answer, scratch)
					exchange(t, fd, send, want, scratch)
				} else {
					exchange(t, fd, "hello", "hello", scratch)
				}
			}
			open() // what the first one needs is there for all
			before := heap()
			for range c.conns - 1 {
				open()
			}
			perConn := int(heap()-before) / (c.conns - 1)
			t.Logf("%d bytes of heap per idle connection", perConn)
			if perConn > c.limit {
				t.Errorf("%d bytes of heap per idle connection, limit %d", perConn, c.limit)
			}
		})
	}
}
