package websocket_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// rawConn is the net.Conn of a rawPeer, for as long as a client needs one.
type rawConn int

func (c rawConn) Read(b []byte) (int, error) {
	n, err := syscall.Read(int(c), b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (c rawConn) Write(b []byte) (int, error)      { return syscall.Write(int(c), b) }
func (c rawConn) Close() error                     { return nil }
func (c rawConn) LocalAddr() net.Addr              { return nil }
func (c rawConn) RemoteAddr() net.Addr             { return nil }
func (c rawConn) SetDeadline(time.Time) error      { return nil }
func (c rawConn) SetReadDeadline(time.Time) error  { return nil }
func (c rawConn) SetWriteDeadline(time.Time) error { return nil }

// heapAtRest is heap when the cache of AEADs is gone, which all connections share: the garbage
// collector takes it.
func heapAtRest() int64 {
	least := heap()
	for range 10 {
		least = min(least, heap())
	}
	return least
}

// TestHeapOfIdleTLSConnections is TestHeapOfIdleConnections for wss, after a large message was
// echoed as well. The clients' part of TLS is garbage by then.
func TestHeapOfIdleTLSConnections(t *testing.T) {
	const limit, conns = 750, 500
	server := startTLS(t, &websocket.Server{Message: echo}, engine.ListenConfig{})
	port := int(server.ln.Addr().Port())
	config := server.client.Clone()
	config.Certificates = nil
	message := bytes.Repeat([]byte("sixteen bytes..."), 1<<10)
	send := wsproto.AppendMasked(nil, wsproto.Binary, 0, message)
	want := append(wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary,
		Length: uint64(len(message))}), message...)
	got := make([]byte, len(want))
	var peers []int
	defer func() {
		for _, fd := range peers {
			syscall.Close(fd)
		}
	}()
	open := func() {
		t.Helper()
		fd := rawPeer(t, port)
		peers = append(peers, fd)
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		c := tls.Client(rawConn(fd), config)
		exchanged := func(send []byte, want string) {
			t.Helper()
			if _, err := c.Write(send); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, got[:len(want)]); err != nil || string(got[:len(want)]) != want {
				t.Fatalf("%d bytes, error %v", len(want), err)
			}
		}
		exchanged([]byte(openingRequest("/", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")), accepted+"\r\n")
		exchanged(send, string(want))
	}
	for range 20 { // what the first ones of both loops need is there for all
		open()
	}
	before := heapAtRest()
	for range conns {
		open()
	}
	perConn := int(heapAtRest()-before) / conns
	t.Logf("%d bytes of heap per idle connection", perConn)
	if perConn > limit {
		t.Errorf("%d bytes of heap per idle connection, limit %d", perConn, limit)
	}
}
