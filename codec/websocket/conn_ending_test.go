package websocket_test

import (
	"context"
	"io"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestPanicInDoneOfSendFromDoesNotHideTheEnd: whoever waits for the connection, and Close, must
// still hear of it.
func TestPanicInDoneOfSendFromDoesNotHideTheEnd(t *testing.T) {
	r, w := io.Pipe() // never gives anything
	defer w.Close()
	handles, contexts := make(chan websocket.Handle, 1), make(chan context.Context, 1)
	streams, closed := make(chan *websocket.Stream, 1), make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.SendFrom(websocket.Text, r, func(error) { panic("a handler's fault") })
			contexts <- c.Context()
			streams <- c.Stream(websocket.Text)
			handles <- c.Handle()
		},
		Close: func(_ *websocket.Conn, err error) { closed <- err },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	h, ctx, s := receive(t, "handle", handles), receive(t, "context", contexts), receive(t, "stream", streams)
	waits, reads := make(chan error, 1), make(chan error, 1)
	go func() { waits <- h.SendWait(context.Background(), websocket.Text, []byte("x")) }()
	go func() { _, err := s.Read(make([]byte, 1)); reads <- err }()
	wait(t, h, 1)
	c.Close()
	receive(t, "end of SendWait", waits)
	receive(t, "end of Read", reads)
	receive(t, "Close", closed)
	receive(t, "end of the context", ctx.Done())
}

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
