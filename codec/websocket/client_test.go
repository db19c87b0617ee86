package websocket_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// running is an engine for clients, until the test ends.
func running(t testing.TB, c engine.Config) *engine.Engine {
	t.Helper()
	eng, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		<-done
	})
	return eng
}

// opened is what Dial's callback got.
type opened struct {
	c   *websocket.Conn
	err error
}

// open dials and waits.
func open(t testing.TB, cl *websocket.Client, e *engine.Engine, url string) opened {
	t.Helper()
	result := make(chan opened, 1)
	if err := cl.Dial(context.Background(), e, url,
		func(c *websocket.Conn, err error) { result <- opened{c, err} }); err != nil {
		t.Fatal(err)
	}
	return receive(t, "result of Dial", result)
}

// scripted listens for one client, and does what the script says when its request has come.
func scripted(t testing.TB, script func(nc net.Conn, r *bufio.Reader, request *http.Request)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(nc)
		request, err := http.ReadRequest(r)
		if err != nil {
			t.Errorf("request: %v", err)
			return
		}
		script(nc, r, request)
	}()
	return ln.Addr().String()
}

// accept is a server's answer, with further lines.
func accept(request *http.Request, further string) string {
	key := request.Header.Get("Sec-WebSocket-Key")
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptOf(key) + "\r\n" + further + "\r\n"
}

func TestClientEcho(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {},
		{ServerTakeover: true, ClientTakeover: true, ServerWindowBits: 10, ClientWindowBits: 9}} {
		eng, address := start(t, &websocket.Server{Message: echo, Limits: websocket.Limits{MaxMessage: 4 << 20},
			Subprotocols: []string{"mud", "chat"},
			Compression:  &websocket.Compression{ServerTakeover: true, ClientTakeover: true}}, engine.Config{Loops: 2})
		type message struct {
			op   websocket.Opcode
			data string
		}
		got := make(chan message, 1)
		ended := make(chan error, 1)
		client := &websocket.Client{
			Message: func(_ *websocket.Conn, op websocket.Opcode, data []byte) {
				got <- message{op, string(data)}
			},
			Close:        func(_ *websocket.Conn, err error) { ended <- err },
			Subprotocols: []string{"chat", "other"},
			Limits:       websocket.Limits{MaxMessage: 4 << 20},
			Compression:  compression,
		}
		o := open(t, client, eng, "ws://"+address+"/path?query")
		if o.err != nil {
			t.Fatal(o.err)
		}
		if p := o.c.Subprotocol(); p != "chat" {
			t.Errorf("subprotocol %q", p)
		}
		for _, n := range []int{0, 1, 125, 126, 127, 4096, 16370, 16383, 16384, 16385, 65535, 65536, 1 << 20, 3 << 20} {
			for _, m := range []message{{websocket.Text, strings.Repeat("é", n/2)},
				{websocket.Binary, strings.Repeat("\xff\x01\x02", n/3)}} {
				o.c.Handle().Send(m.op, []byte(m.data))
				if g := receive(t, "echo", got); g != m {
					t.Fatalf("%v of %d bytes came back as %v of %d", m.op, len(m.data), g.op, len(g.data))
				}
			}
		}
		// A message that is sent to all goes to servers, too.
		websocket.Broadcast(websocket.Prepare(websocket.Text, []byte(strings.Repeat("to all", 100))),
			func(yield func(websocket.Handle) bool) {
				yield(o.c.Handle())
			}, engine.SlowWait)
		if g := receive(t, "echo", got); g.data != strings.Repeat("to all", 100) {
			t.Fatalf("%q came back", g.data)
		}
		o.c.Handle().Close(4000, "enough")
		var e *websocket.CloseError
		if err := receive(t, "end", ended); !errors.As(err, &e) || e.Code != 4000 {
			t.Fatalf("ended with %v", err)
		}
	}
}

// TestClientOpensManyAtOnce: all of them open, at the same time, from one process.
func TestClientOpensManyAtOnce(t *testing.T) {
	const many = 2000
	var greeted, failed atomic.Int32
	eng, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		c.Send(websocket.Text, []byte("hello"))
	}}, engine.Config{Loops: 2})
	done := make(chan struct{})
	client := &websocket.Client{Message: func(*websocket.Conn, websocket.Opcode, []byte) {
		if greeted.Add(1) == many {
			close(done)
		}
	}}
	for range many {
		if err := client.Dial(context.Background(), eng, "ws://"+address, func(_ *websocket.Conn, err error) {
			if err != nil {
				failed.Add(1)
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%d of %d were greeted, %d failed", greeted.Load(), many, failed.Load())
	}
}

// TestClientSkipsInterimResponses, whole and in pieces.
func TestClientSkipsInterimResponses(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	for _, pieces := range []bool{false, true} {
		address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
			text := "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + accept(q, "")
			for i := range text {
				if pieces {
					io.WriteString(nc, text[i:i+1])
				} else if i == 0 {
					io.WriteString(nc, text)
				}
			}
			io.Copy(io.Discard, r)
		})
		if o := open(t, &websocket.Client{}, eng, "ws://"+address); o.err != nil {
			t.Error(o.err)
		}
	}
}

func TestClientDialRefusesBadURLs(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	for _, test := range []struct{ url, want string }{
		{"http://a/", "not of the form"}, {"a", "not of the form"}, {"ws:///path", "not of the form"},
		{"ws://u:p@a:b/", "malformed"},
		{"ws://a/#part", "not of the form"}, {"wss://a/", "TLS"}, {"ws://a\n/", "invalid"}, {"ws://[::1", "missing"},
	} {
		err := (&websocket.Client{}).Dial(context.Background(), eng, test.url,
			func(*websocket.Conn, error) { t.Error("called") })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.url, err, test.want)
		}
	}
	bad := &websocket.Client{Header: http.Header{"X": {"a\r\nY: b"}}}
	if err := bad.Dial(context.Background(), eng, "ws://a/", nil); err == nil {
		t.Error("a line end in a field is sent")
	}
}

// TestClientRequestOnTheWire: the Host field has the port unless it is the scheme's own.
func TestClientRequestOnTheWire(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	hosts := make(chan string, 1)
	address := scripted(t, func(nc net.Conn, _ *bufio.Reader, r *http.Request) {
		hosts <- r.Host + " " + r.RequestURI + " " + r.Header.Get("Origin")
		io.WriteString(nc, accept(r, ""))
	})
	client := &websocket.Client{Header: http.Header{"Origin": {"https://a"}}}
	if o := open(t, client, eng, "ws://"+address+"/a%20b?c=d"); o.err != nil {
		t.Fatal(o.err)
	}
	if got, want := receive(t, "request", hosts), address+" /a%20b?c=d https://a"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestClientHandshakeFails in every way that a server and the network have, and the error says why.
func TestClientHandshakeFails(t *testing.T) {
	answers := func(text string) func(net.Conn, *bufio.Reader, *http.Request) {
		return func(nc net.Conn, r *bufio.Reader, _ *http.Request) {
			io.WriteString(nc, text)
			io.Copy(io.Discard, r)
		}
	}
	silent := func(nc net.Conn, r *bufio.Reader, _ *http.Request) { io.Copy(io.Discard, r) }
	response := func(want string) func(error) bool {
		return func(err error) bool {
			var e *handshake.Error
			return errors.As(err, &e) && strings.Contains(e.Error(), want)
		}
	}
	for _, test := range []struct {
		name   string
		script func(net.Conn, *bufio.Reader, *http.Request)
		limit  time.Duration
		want   func(error) bool
	}{
		{"refused by the server", answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n"), 0,
			response("403")},
		{"redirected", answers("HTTP/1.1 301 Moved\r\nLocation: ws://b/\r\n\r\n"), 0, func(err error) bool {
			var e *handshake.Error
			return errors.As(err, &e) && e.Status == 301 && e.Header.Get("Location") == "ws://b/"
		}},
		{"refused in HTTP/1.0", answers("HTTP/1.0 503 Busy\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\nlater"), 0,
			func(err error) bool {
				var e *handshake.Error
				return errors.As(err, &e) && e.Status == 503 && e.Header.Get("Retry-After") == "5" &&
					string(e.Body) == "later"
			}},
		{"refused without a space behind the status, in chunks", answers("HTTP/1.1 401\r\nWWW-Authenticate: Basic\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n1\r\n?\r\n0\r\n\r\n"), 0, func(err error) bool {
			var e *handshake.Error
			return errors.As(err, &e) && e.Status == 401 && e.Header.Get("WWW-Authenticate") == "Basic" &&
				string(e.Body) == "who?"
		}},
		{"refused after early hints", answers("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 F\r\n\r\nno"), 0,
			func(err error) bool {
				var e *handshake.Error
				return errors.As(err, &e) && e.Status == 403 && string(e.Body) == "no"
			}},
		{"refused, and the time is up", answers("HTTP/1.1 403 F\r\nContent-Length: 5\r\n\r\nno"), 50 * time.Millisecond,
			response("403")},
		{"interim responses without an end", answers(strings.Repeat("HTTP/1.1 100 C\r\n\r\n", 100)), 0,
			response("interim")},
		{"not HTTP", answers("SSH-2.0-OpenSSH\r\n\r\n"), 0, response("status line")},
		{"endless header", answers("HTTP/1.1 101 S\r\n" + strings.Repeat("X: y\r\n", 10_000)), 0, response("limit")},
		{"wrong key", answers("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
			0, response("not the answer to our key")},
		{"extension that was not offered", func(nc net.Conn, r *bufio.Reader, q *http.Request) {
			io.WriteString(nc, accept(q, "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
			io.Copy(io.Discard, r)
		}, 0, response("not offered")},
		{"end of the stream", func(nc net.Conn, _ *bufio.Reader, _ *http.Request) {
			io.WriteString(nc, "HTTP/1.1 101")
		},
			0, func(err error) bool { return errors.Is(err, engine.ErrPeerClosed) }},
		{"no answer", silent, 50 * time.Millisecond,
			func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			eng := running(t, engine.Config{Loops: 1})
			client := &websocket.Client{Limits: websocket.Limits{HandshakeTimeout: test.limit}}
			client.Close = func(*websocket.Conn, error) { t.Error("Close is called for what was never open") }
			o := open(t, client, eng, "ws://"+scripted(t, test.script))
			if o.c != nil || o.err == nil || !test.want(o.err) {
				t.Fatalf("%v, %v", o.c, o.err)
			}
			await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 })
		})
	}
	eng := running(t, engine.Config{Loops: 1})
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	ln.Close()
	if o := open(t, &websocket.Client{}, eng, "ws://"+ln.Addr().String()); !errors.Is(o.err, syscall.ECONNREFUSED) {
		t.Errorf("closed port: %v", o.err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("changed my mind")
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, _ *http.Request) {
		cancel(cause)
		io.Copy(io.Discard, r)
	})
	result := make(chan error, 1)
	if err := (&websocket.Client{}).Dial(ctx, eng, "ws://"+address,
		func(_ *websocket.Conn, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "result", result); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

// await waits until the engine's counters are as they should be.
func await(t testing.TB, eng *engine.Engine, ok func(engine.Stats) bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s, err := eng.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if ok(s) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %+v", patience, s.LoopStats)
		}
	}
}

// acceptOf returns the Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
