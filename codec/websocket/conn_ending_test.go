package websocket_test

import (
	"context"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestContextsDerivedFromAConnectionsEnd in whichever order they and its Done were asked for:
// package context panics if Err is nil when a context derived from it is told of the end.
func TestContextsDerivedFromAConnectionsEnd(t *testing.T) {
	contexts := make(chan context.Context, 1)
	server := &websocket.Server{Open: func(c *websocket.Conn) { contexts <- c.Context() }}
	_, address := start(t, server, engine.Config{Loops: 1})
	for range 200 {
		c := dial(t, address)
		ctx := receive(t, "context", contexts)
		ctx.Done() // comes last in the list
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		c.Close()
		receive(t, "end", derived.Done())
	}
}

// TestContextOfAConnectionIsOne: asked for with each message, and derived from, it must not take up
// more memory each time.
func TestContextOfAConnectionIsOne(t *testing.T) {
	same := make(chan bool, 1)
	server := &websocket.Server{Open: func(c *websocket.Conn) {
		first := c.Context()
		for range 3 {
			_, cancel := context.WithCancel(c.Context())
			cancel()
		}
		same <- c.Context() == first
	}}
	_, address := start(t, server, engine.Config{Loops: 1})
	dial(t, address)
	if !receive(t, "comparison", same) {
		t.Error("each call makes another one")
	}
}
