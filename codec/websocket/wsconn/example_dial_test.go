package wsconn_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// temporary are the statuses of refusals that may end by themselves. With any other, such as 401,
// 403 or 404, the same request is refused again.
var temporary = []int{408, 425, 429, 500, 502, 503, 504}

// redial connects as soon as it can. It waits between attempts, from the time first on ever longer,
// and at random, so that the clients of a server that was restarted do not all come at once. The
// error is that of a refusal that lasts, or the cause of ctx's end.
func redial(ctx context.Context, url string, config *wsconn.Config, first time.Duration) (*wsconn.Conn, error) {
	for wait := first; ; wait = min(2*wait, 30*time.Second) {
		c, err := wsconn.Dial(ctx, url, config)
		if err == nil {
			return c, nil
		}
		pause := wait/2 + rand.N(wait)
		refused, ok := errors.AsType[*handshake.Error](err)
		if ok && refused.Status != 0 { // otherwise nobody listens, or the connection was lost
			if !slices.Contains(temporary, refused.Status) {
				return nil, err
			}
			// It may also be a date (RFC 9110 section 10.2.3).
			if s, err := strconv.Atoi(refused.Header.Get("Retry-After")); err == nil {
				pause += time.Duration(min(max(s, 0), 3600)) * time.Second
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// A client that comes back when the server is there again, and gives up when it is told to.
func ExampleDial_reconnect() {
	var attempts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/feed" {
			http.NotFound(w, r)
			return
		}
		if attempts.Add(1) <= 2 {
			w.Header().Set("Retry-After", "0") // some seconds, in a real server
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if c, err := wsconn.Upgrade(w, r, nil); err == nil {
			c.Write(r.Context(), wsconn.Text, []byte("hello"))
			c.Close(wsconn.ServiceRestart, "")
		}
	}))
	defer server.Close()
	url := "ws" + strings.TrimPrefix(server.URL, "http")

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 2 {
		c, err := redial(ctx, url+"/feed", nil, time.Millisecond) // a second, in a real client
		if err != nil {
			fmt.Println(err)
			return
		}
		for err == nil {
			var data []byte
			if _, data, err = c.Read(ctx); err == nil {
				fmt.Printf("%s, after %d attempts\n", data, attempts.Load())
			}
		}
		switch wsconn.CloseStatus(err) {
		case wsconn.GoingAway, wsconn.AbnormalClosure, wsconn.InternalError, wsconn.ServiceRestart,
			wsconn.TryAgainLater: // come back
		default:
			return
		}
	}
	_, err := redial(ctx, url+"/elsewhere", nil, time.Millisecond)
	refused, _ := errors.AsType[*handshake.Error](err)
	fmt.Println(refused.Status)
	// Output:
	// hello, after 3 attempts
	// hello, after 4 attempts
	// 404
}

// A connection over a unix socket. The URL has the Host field and the target of the request.
func ExampleConfig_unixSocket() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := wsconn.Upgrade(w, r, nil); err == nil {
			c.Write(r.Context(), wsconn.Text, []byte("this is "+r.Host))
			c.Close(wsconn.NormalClosure, "")
		}
	})}
	go server.Serve(ln)
	defer server.Close()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, "ws://backend/feed", &wsconn.Config{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	_, data, err := c.Read(ctx)
	fmt.Printf("%s %v\n", data, err)
	// Output: this is backend <nil>
}
