package websocket_test

import (
	"io"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestDetachInDone: the end of a connection ends a SendFrom first, whose done may still detach. An
// attachment that was detached there was told of the end all the same.
func TestDetachInDone(t *testing.T) {
	told := make(chan string, 16)
	a, b := &attached{"a", told, false}, &attached{"b", told, false}
	r, w := io.Pipe()
	defer w.Close()
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.Attach(a)
			c.Attach(b)
			c.SendFrom(websocket.Binary, r, func(error) {
				c.Detach(a)
				told <- "done"
			})
		},
		Close: func(*websocket.Conn, error) { told <- "Close" },
	}, engine.Config{Loops: 1})
	dial(t, address).Close()
	for _, want := range []string{"done", "b closed, engine: closed", "Close"} {
		if got := receive(t, want, told); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
