package wsconn_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/wsproto"
)

func Example() {
	echo := func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, &wsconn.Config{Subprotocols: []string{"echo"}})
		if err != nil {
			return // it was answered
		}
		defer c.Close(wsproto.GoingAway, "")
		for {
			op, data, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), op, data); err != nil {
				return
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := wsconn.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http"), &wsconn.Config{Subprotocols: []string{"echo"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Write(ctx, wsconn.Text, []byte("hello"))
	op, data, err := c.Read(ctx)
	fmt.Printf("%v %s %v, by the subprotocol %s\n", op, data, err, c.Subprotocol())
	fmt.Println(c.Close(wsproto.NormalClosure, "done"))
	// Output:
	// text hello <nil>, by the subprotocol echo
	// <nil>
}

// A peer that has vanished without a word is found by pings.
func ExampleConn_Ping() {
	watch := func(ctx context.Context, c *wsconn.Conn) {
		for {
			select {
			case <-time.After(30 * time.Second):
			case <-ctx.Done():
				return
			}
			within, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := c.Ping(within) // somebody else is in Read
			cancel()
			if err != nil {
				c.Underlying().Close() // Read returns
				return
			}
		}
	}
	_ = watch
}
