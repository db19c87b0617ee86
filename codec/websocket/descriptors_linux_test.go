package websocket_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// sockets is how many the process has.
func sockets(t *testing.T) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if what, err := os.Readlink(fd); err == nil && strings.HasPrefix(what, "socket:") {
			n++
		}
	}
	return n
}

// TestNoDescriptorIsLost on the way from a loop to net/http and back, whatever ends a connection.
func TestNoDescriptorIsLost(t *testing.T) {
	s := &websocket.Server{Message: echo, Handler: newSite()}
	eng, address := start(t, s, engine.Config{Loops: 2})
	taken, _ := taking(t, s, eng)
	http.DefaultClient.CloseIdleConnections() // of tests before
	before := sockets(t)
	for range 10 {
		for _, c := range []struct {
			address, first string
			status         int
			then           string
		}{
			{address, get, 200, ""},
			{address, get + openingRequest("/"), 200, ""},
			{address, get + openingRequest("/", "-Sec-WebSocket-Key"), 200, ""},
			{address, get + "nonsense\n", 200, ""},
			{address, post("half", "Content-Length: 5") + "x" + get, 200, ""},
			{address, "nonsense\n", 400, ""},
			{address, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n", 101, "x\n"},
			{address, openingRequest("/"), 101, ""},
			{taken, openingRequest("/rooms/1"), 101, ""},
			{taken, openingRequest("/rooms/1", "-Sec-WebSocket-Key"), 400, ""},
		} {
			conn := connect(t, c.address, c.first)
			conn.response(t, c.status)
			io.WriteString(conn, c.then)
			conn.Close()
		}
	}
	until(t, "end of all descriptors", func() bool { return sockets(t) <= before })
	dial(t, address).ask(t, ws.OpText, "it goes on")
}
