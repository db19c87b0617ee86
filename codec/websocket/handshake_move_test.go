package websocket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// arrival is what the callbacks of a test have seen.
type arrival struct {
	value any
	loop  int
	old   websocket.Handle
}

// TestHandshakeMoves: the callback decides on which loop the WebSocket is, with and without a
// decision by a goroutine. Frames that came right behind the request are not lost.
func TestHandshakeMoves(t *testing.T) {
	const loops = 3
	certs := httptest.NewTLSServer(nil)
	certs.Close()
	for _, test := range []struct {
		name          string
		deferred, tls bool
	}{
		{name: "in the callback"},
		{name: "deferred", deferred: true},
		{name: "TLS", tls: true},
		{name: "TLS, deferred", tls: true, deferred: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			opened := make(chan arrival, loops)
			ended := make(chan context.Context, loops)
			move := func(h *websocket.Handshake) {
				h.Conn.Value = arrival{value: h.Request().URL.Path, old: h.Conn.Handle()}
				h.ResponseHeader().Set("X-Loop", "1")
				h.Subprotocol = "v2"
				ended <- h.Conn.Context()
				h.MoveTo(int(h.Raw.Path[1] - '0'))
			}
			s := &websocket.Server{
				Message: echo,
				Handshake: func(h *websocket.Handshake) {
					if !test.deferred {
						move(h)
						return
					}
					d := h.Defer()
					go d.Decide(move)
				},
				Subprotocols: []string{"v1", "v2"},
				Open: func(c *websocket.Conn) {
					o := c.Value.(arrival)
					o.loop = c.Loop()
					opened <- o
					c.SendText("hello " + c.Subprotocol())
				},
				MaxHandshakes: 1,
			}
			eng, address := start(t, s, engine.Config{Loops: loops})
			dial := func() (net.Conn, error) { return net.Dial("tcp", address) }
			if test.tls {
				layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: certs.TLS.Certificates}})
				if err != nil {
					t.Fatal(err)
				}
				ln, err := engine.ListenConfig{Layer: layer.Server()}.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
				if err != nil {
					t.Fatal(err)
				}
				dial = func() (net.Conn, error) {
					return tls.Dial("tcp", ln.String(), &tls.Config{InsecureSkipVerify: true})
				}
			}
			for i := range loops {
				c, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(patience))
				path := "/" + string(rune('0'+i))
				io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
					"Sec-WebSocket-Protocol: v1, v2\r\n\r\n"+frameOf("early"))
				peer := &client{c, bufio.NewReader(c)}
				resp, err := http.ReadResponse(peer.r, nil)
				if err != nil || resp.StatusCode != 101 || resp.Header.Get("X-Loop") != "1" ||
					resp.Header.Get("Sec-WebSocket-Protocol") != "v2" {
					t.Fatalf("%v, %v", resp, err)
				}
				peer.expect(t, ws.OpText, "hello v2")
				peer.expect(t, ws.OpText, "early")
				peer.ask(t, ws.OpText, "again")
				o := receive(t, "Open", opened)
				if o.loop != i || o.value != path {
					t.Errorf("%s is on loop %d, with %q", path, o.loop, o.value)
				}
				ctx := receive(t, "context", ended)
				if o.old.Closed() {
					receive(t, "end of the old context", ctx.Done())
				} else if ctx.Err() != nil {
					t.Error("the context has ended without a move")
				}
			}
		})
	}
}

// TestHandshakeMovesToNoLoop: it is the program's mistake, and the client is told.
func TestHandshakeMovesToNoLoop(t *testing.T) {
	for _, loop := range []int{1, -1, math.MaxInt, math.MinInt} {
		refused := make(chan websocket.Refusal, 2)
		_, address := start(t, &websocket.Server{
			Handshake: func(h *websocket.Handshake) { h.MoveTo(loop) },
			Refused:   func(r websocket.Refusal) { refused <- r },
		}, engine.Config{Loops: 1})
		_, _, _, err := ws.Dial(t.Context(), "ws://"+address+"/")
		var status ws.StatusError
		if !errors.As(err, &status) || status != 500 {
			t.Fatalf("loop %d: %v", loop, err)
		}
		if r := receive(t, "refusal", refused); r.Status != 500 {
			t.Errorf("loop %d: %+v", loop, r)
		}
	}
}

// TestHandshakeMovesWhatHasEnded: a callback closes the connection, and moves it all the same. The
// handshake does not count for MaxHandshakes any more.
func TestHandshakeMovesWhatHasEnded(t *testing.T) {
	first := true
	_, address := start(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			if first {
				first = false
				h.Conn.EngineConn().Close()
			}
			h.MoveTo(1 - h.Conn.Loop())
		},
		MaxHandshakes: 1,
	}, engine.Config{Loops: 2})
	if c, _, _, err := ws.Dial(t.Context(), "ws://"+address+"/"); err == nil {
		c.Close()
		t.Fatal("the connection was closed, and is open")
	}
	// The client sees the end a little before it is counted.
	until(t, "a handshake", func() bool {
		c, _, _, err := ws.Dial(t.Context(), "ws://"+address+"/")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
