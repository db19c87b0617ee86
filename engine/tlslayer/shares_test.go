package tlslayer

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestHandshakesOfOneAddress: a client that begins handshakes and says nothing took all of them
// until their deadline.
func TestHandshakesOfOneAddress(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	c := Config{TLS: testConfig(), MaxHandshakesPerAddress: 2, HandshakeTimeout: time.Hour}
	addr := listen(t, e, c, func(conn *engine.Conn) engine.Protocol { return &echoing{conn: conn} })
	begin := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		nc := must(d.Dial("tcp", addr))
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		return nc
	}
	first, second := begin("127.0.0.2"), begin("127.0.0.2")
	if _, err := begin("127.0.0.2").Read(make([]byte, 1)); err == nil {
		t.Error("bytes for a third handshake of the address")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("a third handshake of the address goes on")
	}
	dial(t, addr, changed(nil)) // of another address
	first.Close()
	second.Close()
	// Until the end of both has been seen.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		nc := tls.Client(begin("127.0.0.2"), changed(nil))
		err := nc.Handshake()
		nc.Close()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place is given back: %v", err)
		}
	}
}
