package websocket_test

import (
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestNilFunctionsAreRefused at the call, instead of panicking on a loop later.
func TestNilFunctionsAreRefused(t *testing.T) {
	errs := make(chan error, 3)
	eng, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		errs <- c.SendFrom(websocket.Text, strings.NewReader("x"), nil)
		errs <- c.SendFrom(websocket.Text, nil, func(error) {})
		errs <- c.Attach(nil)
	}}, engine.Config{Loops: 1})
	dial(t, address)
	for what, err := range map[string]error{
		"SendFrom without done": receive(t, "error", errs), "SendFrom without r": receive(t, "error", errs),
		"Attach":      receive(t, "error", errs),
		"Client.Dial": (&websocket.Client{}).Dial(t.Context(), eng, "ws://"+address, nil),
		"Handle.Post": (websocket.Handle{}).Post(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("%s: %v", what, err)
		}
	}
	defer func() {
		if v := recover(); v == nil {
			t.Error("HandleJSON takes nil")
		}
	}()
	websocket.HandleJSON[int](nil)
}
