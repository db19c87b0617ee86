package websocket_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestHandshakeHearsOfEveryEnd: what the callback made is released by the context of the
// connection, once, whether Open came or not. Close is called only after Open.
func TestHandshakeHearsOfEveryEnd(t *testing.T) {
	for _, test := range []struct {
		name   string
		then   func(*websocket.Handshake)
		status int
		opens  bool
	}{
		{name: "opened", then: func(*websocket.Handshake) {}, status: 101, opens: true},
		{name: "refused", then: func(h *websocket.Handshake) { h.Refuse(403, "no\n") }, status: 403},
		{name: "subprotocol that was not offered", then: func(h *websocket.Handshake) { h.Subprotocol = "v9" },
			status: 500},
		{name: "field that must not be there",
			then: func(h *websocket.Handshake) { h.ResponseHeader().Set("Upgrade", "x") }, status: 500},
		{name: "panic", then: func(*websocket.Handshake) { panic("a mistake") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			released, closed := make(chan int, 2), make(chan bool, 2)
			made := 0
			_, address := start(t, &websocket.Server{
				Refused: func(websocket.Refusal) {},
				Handshake: func(h *websocket.Handshake) {
					made++
					context.AfterFunc(h.Conn.Context(), func() { released <- made })
					test.then(h)
				},
				Close: func(*websocket.Conn, error) { closed <- true },
			}, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			c := connect(t, address, openingRequest("/"))
			if test.status != 0 {
				c.response(t, test.status)
			}
			c.Close()
			if n := receive(t, "release", released); n != 1 {
				t.Errorf("%d were made", n)
			}
			if test.opens {
				receive(t, "Close", closed)
			}
			if len(released) > 0 || len(closed) > 0 {
				t.Error("released twice, or Close without Open")
			}
		})
	}
}
