package sendqueue_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/sendqueue"
)

func TestLen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sent, err := c.Write(make([]byte, 64<<20)) // more than the kernel takes
	if err == nil {
		t.Fatal("64 MiB were taken by nobody")
	}
	n, ok := sendqueue.Len(c)
	if over, _ := sendqueue.Len(tls.Client(c, nil)); !ok || n == 0 || n > sent || over != n {
		t.Fatalf("%d of %d bytes, %v; %d by TLS", n, sent, ok, over)
	}
	if _, err := io.CopyN(io.Discard, peer, int64(sent)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); n > 0; n, _ = sendqueue.Len(c) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are left", n)
		}
	}
	if _, ok := sendqueue.Len(struct{ net.Conn }{c}); ok {
		t.Error("known for a connection that has no descriptor")
	}
}
