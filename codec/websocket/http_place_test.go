package websocket_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestListenerCountsWhatNetHTTPHas: a connection that makes an ordinary request and then an opening
// handshake is one of its listener's connections all the time, and no longer than it is open.
func TestListenerCountsWhatNetHTTPHas(t *testing.T) {
	for _, lc := range []engine.ListenConfig{{MaxPerAddress: 2}, {MaxConnections: 2}} {
		s := &websocket.Server{Handler: newSite(), Message: echo}
		eng, _ := start(t, s, engine.Config{Loops: 2})
		ln, err := lc.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
		if err != nil {
			t.Fatal(err)
		}
		address := ln.String()
		var open []*client
		full := func(when string) {
			t.Helper()
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("%s: a third connection is not refused: %v", when, err)
			}
		}
		freed := func(when string) {
			t.Helper()
			for _, c := range open {
				c.Close()
			}
			open = nil
			until(t, "free place "+when, func() bool {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				io.WriteString(c, get)
				n, _ := c.Read(make([]byte, 1))
				return n > 0
			})
		}
		for range 2 {
			c := connect(t, address, get)
			c.response(t, 200)
			open = append(open, c)
		}
		full("with net/http")
		for _, c := range open {
			io.WriteString(c, openingRequest("/"))
			c.response(t, 101)
			c.ask(t, ws.OpText, "hello")
		}
		full("as WebSocket")
		freed("after WebSocket")
	}
}
