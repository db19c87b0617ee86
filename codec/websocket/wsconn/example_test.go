package wsconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// start runs a server whose WebSocket connections are handled by f, and returns its URL.
func start(config *wsconn.Config, f func(context.Context, *wsconn.Conn)) (url string, stop func()) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, config)
		if err != nil {
			return // the response is complete
		}
		defer c.CloseNow()
		f(r.Context(), c)
	}))
	return "ws" + strings.TrimPrefix(server.URL, "http"), server.Close
}

// echoMessages sends every message back until the connection ends.
func echoMessages(ctx context.Context, c *wsconn.Conn) {
	for {
		op, data, err := c.Read(ctx)
		if err != nil {
			return
		}
		if err := c.Write(ctx, op, data); err != nil {
			return
		}
	}
}

// A client of an echo server.
func Example() {
	url, stop := start(nil, echoMessages)
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := wsconn.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	if err := c.Write(ctx, wsconn.Text, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	op, data, err := c.Read(ctx)
	fmt.Printf("%v %s %v\n", op, data, err)
	fmt.Println(c.Close(wsconn.NormalClosure, "done"))
	// Output:
	// text hello <nil>
	// <nil>
}

// A handler that greets its clients by the name in the path.
func ExampleUpgrade() {
	// may be shared by all connections
	config := &wsconn.Config{Origins: []string{"https://example.com"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /greet/{name}", func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, config)
		if err != nil {
			return // the response is complete
		}
		defer c.CloseNow()
		c.Write(r.Context(), wsconn.Text, []byte("hello, "+r.PathValue("name")))
		c.Close(wsconn.NormalClosure, "")
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http")+"/greet/world", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	_, data, err := c.Read(ctx)
	fmt.Printf("%s %v\n", data, err)
	_, _, err = c.Read(ctx)
	fmt.Println(wsconn.CloseStatus(err) == wsconn.NormalClosure)
	// Output:
	// hello, world <nil>
	// true
}

// A peer that has vanished is found without calling Ping, as long as a goroutine is reading.
func ExampleErrPongTimeout() {
	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		time.Sleep(time.Second / 4) // it answers no ping, since it does not read
	})
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, &wsconn.Config{Limits: wsconn.Limits{
		// seconds in a real program
		IdleTimeout: 20 * time.Millisecond, PongTimeout: 10 * time.Millisecond,
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	_, _, err = c.Read(ctx)
	fmt.Println(errors.Is(err, wsconn.ErrPongTimeout))
	// Output: true
}

// Large messages are received without holding them in memory.
func ExampleConn_Reader() {
	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		c.Write(ctx, wsconn.Binary, make([]byte, 5<<20))
		c.Close(wsconn.NormalClosure, "")
	})
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 1 << 30}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	op, r, err := c.Reader(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := io.Copy(io.Discard, r)
	fmt.Println(op, n, err)
	// Output: binary 5242880 <nil>
}

// A message of unknown length is sent as it is made.
func ExampleConn_Writer() {
	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		w, err := c.Writer(ctx, wsconn.Text)
		if err != nil {
			return
		}
		for i := range 100_000 {
			if _, err := fmt.Fprintln(w, i); err != nil {
				return
			}
		}
		if err := w.Close(); err != nil { // sends the end of the message
			return
		}
		c.Close(wsconn.NormalClosure, "")
	})
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	_, data, err := c.Read(ctx)
	fmt.Println(bytes.Count(data, []byte("\n")), "lines", err)
	// Output: 100000 lines <nil>
}

// A TCP connection goes through a WebSocket.
func ExampleConn_NetConn() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	go func() { // a TCP service, which knows nothing of WebSocket
		if nc, err := ln.Accept(); err == nil {
			defer nc.Close()
			io.Copy(nc, nc)
		}
	}()

	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		tunnel := c.NetConn(wsconn.Binary)
		defer tunnel.Close()
		target, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer target.Close()
		go io.Copy(tunnel, target)
		io.Copy(target, tunnel)
	})
	defer stop()

	c, err := wsconn.Dial(context.Background(), url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	nc := c.NetConn(wsconn.Binary)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "hello, TCP")
	b := make([]byte, 10)
	_, err = io.ReadFull(nc, b)
	fmt.Printf("%s %v\n", b, err)
	// Output: hello, TCP <nil>
}

func ExampleConn_ReadJSON() {
	type sum struct{ A, B, Sum int }
	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		for {
			var s sum
			if err := c.ReadJSON(ctx, &s); err != nil {
				return
			}
			s.Sum = s.A + s.B
			if err := c.WriteJSON(ctx, s); err != nil {
				return
			}
		}
	})
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	if err := c.WriteJSON(ctx, sum{A: 1, B: 2}); err != nil {
		fmt.Println(err)
		return
	}
	var answer sum
	err = c.ReadJSON(ctx, &answer)
	fmt.Println(answer.Sum, err)
	// Output: 3 <nil>
}

// A feed that is only written to, until the client closes the connection.
func ExampleConn_CloseRead() {
	done := make(chan wsconn.CloseCode)
	url, stop := start(nil, func(ctx context.Context, c *wsconn.Conn) {
		ctx = c.CloseRead(ctx) // ends with the connection
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				c.Write(ctx, wsconn.Text, now.AppendFormat(nil, time.RFC3339Nano))
			case <-ctx.Done():
				done <- wsconn.CloseStatus(context.Cause(ctx))
				return
			}
		}
	})
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, data, err := c.Read(ctx)
	fmt.Println(bytes.Contains(data, []byte("T")), err)
	c.Close(wsconn.GoingAway, "")
	fmt.Println(<-done)
	// Output:
	// true <nil>
	// 1001
}
