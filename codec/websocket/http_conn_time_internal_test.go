package websocket

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestWriteOutsideOfARequestHasADeadline: net/http resets the deadline behind a response, and then
// answers a request that it cannot read. That reset counted as a deadline of the Handler's own.
func TestWriteOutsideOfARequestHasADeadline(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := &httpConn{Conn: nc}
	c.times.timeout = 50 * time.Millisecond
	c.busy.Store(true)
	c.times.begin()
	c.SetWriteDeadline(time.Time{})
	c.busy.Store(false)
	late := time.AfterFunc(10*time.Second, func() { nc.Close() })
	defer late.Stop()
	if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("64 MiB to a peer that reads nothing: %v", err)
	}
}
