package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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

// nested is an error whose text panics, and so does the value it panics with: package fmt gives up.
type nested struct{}

func (n nested) Error() string { panic(n) }

// TestPanicWithAnErrorThatPanicsBehindClose: the reason of such a connection was asked for its
// text, which panicked. Then Close was not called, and its Context did not end.
func TestPanicWithAnErrorThatPanicsBehindClose(t *testing.T) {
	contexts, closed := make(chan context.Context, 1), make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			contexts <- c.Context()
			c.Close(1000, "")
			panic(nested{})
		},
		Close: func(_ *websocket.Conn, err error) { closed <- err },
	}, engine.Config{Loops: 1})
	dial(t, address).Close()
	err := receive(t, "Close", closed)
	if p := (*engine.PanicError)(nil); !errors.As(err, &p) || p.Value != (nested{}) {
		t.Errorf("Close got %#v", err)
	}
	receive(t, "end of the context", receive(t, "context", contexts).Done())
}

// TestDialCancelledByAnErrorThatPanics: opened was not called.
func TestDialCancelledByAnErrorThatPanics(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, _ *http.Request) {
		cancel(nested{})
		io.Copy(io.Discard, r)
	})
	result := make(chan error, 1)
	if err := (&websocket.Client{}).Dial(ctx, running(t, engine.Config{Loops: 1}), "ws://"+address,
		func(_ *websocket.Conn, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "result", result); !errors.Is(err, nested{}) {
		t.Errorf("got %#v", err)
	}
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
