package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// cancelling is a connection that calls cancel when a few frames were written.
type cancelling struct {
	net.Conn
	left   int
	cancel context.CancelFunc
}

func (c *cancelling) Write(p []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.Conn.Write(p)
}

// TestClientEndsInOrder: Run promises a closing handshake. If something waited to be written when
// its context ended, the connection was cut instead.
func TestClientEndsInOrder(t *testing.T) {
	ended := make(chan error)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := wsconn.Upgrade(w, r, &wsconn.Config{Subprotocols: []string{wire.SubprotocolBinary}})
		for err == nil {
			_, _, err = conn.Read(context.Background())
		}
		ended <- err
	}))
	defer server.Close()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		config := &wsconn.Config{Subprotocols: []string{wire.SubprotocolBinary},
			DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
				nc, err := net.Dial(network, address)
				return &cancelling{nc, 5, cancel}, err
			}}
		c := &wire.Client{Dial: func(ctx context.Context) (*wsconn.Conn, error) {
			return wsconn.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http"), config)
		}}
		for n := range 20 {
			c.Subscribe(&wire.Subscription{Topic: fmt.Sprint(n)})
		}
		err := make(chan error, 1)
		go func() { err <- c.Run(ctx) }()
		if end := <-ended; websocket.CloseStatus(end) != websocket.NormalClosure {
			t.Errorf("the connection has ended with %v", end)
		}
		if err := <-err; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
