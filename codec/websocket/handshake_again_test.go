package websocket_test

import (
	"errors"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestDeferInDecide begins another wait, and the callback's Handshake is dead by then.
func TestDeferInDecide(t *testing.T) {
	kept, deferred := make(chan *websocket.Handshake, 1), make(chan *websocket.Deferred, 1)
	_, address := start(t, &websocket.Server{
		Message: echo,
		Handshake: func(h *websocket.Handshake) {
			kept <- h
			deferred <- h.Defer()
		},
	}, engine.Config{Loops: 1})
	c := connect(t, address, openingRequest("/"))
	first := receive(t, "Handshake", deferred)
	captured := receive(t, "Handshake", kept)
	decide(t, first, func(h *websocket.Handshake) {
		if captured == h || captured.Raw != nil || captured.Conn != nil {
			t.Error("the callback's Handshake is still in use")
		}
		captured.Refuse(403, "of no effect")
		deferred <- h.Defer()
	})
	second := receive(t, "Defer in Decide", deferred)
	if second == first {
		t.Error("the same Deferred again")
	}
	if err := first.Decide(agreed); !errors.Is(err, websocket.ErrDecided) {
		t.Errorf("the first Deferred: %v", err)
	}
	decide(t, second, agreed)
	c.response(t, 101)
	c.ask(t, ws.OpText, "hello")
}
