package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// upgrading is net/http's server with a handler that upgrades every request.
func upgrading(t *testing.T, s *websocket.Server, eng *engine.Engine) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Upgrade(eng, w,
			r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestUnusualHandshakesAreAccepted: what asks for nothing unsafe gets its WebSocket, from a loop
// and by Upgrade.
func TestUnusualHandshakesAreAccepted(t *testing.T) {
	var s websocket.Server
	targets := make(chan string, 1)
	s = websocket.Server{Message: echo, Handshake: func(h *websocket.Handshake) {
		r := h.Request()
		targets <- r.Host + r.URL.Path + "?" + r.URL.RawQuery
	}}
	eng, direct := start(t, &s, engine.Config{Loops: 1})
	behind := upgrading(t, &s, eng)
	for _, c := range []struct {
		name, request, want string
		direct              bool // net/http does not take it
	}{
		{name: "Content-Length: 0", request: openingRequest("/ws", "Content-Length: 0"), want: "a/ws?"},
		{name: "absolute form", request: openingRequest("http://a/ws?b"), want: "a/ws?b"},
		{name: "absolute form without a path", request: openingRequest("ws://A:80?b"), want: "A:80?b"},
		{name: "empty line", request: "\r\n" + openingRequest("/ws"), want: "a/ws?", direct: true},
		{name: "empty Host", request: openingRequest("/ws", "Host:"), want: "/ws?"},
		{name: "a key of characters", request: openingRequest("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="),
			want: "a/ws?"},
		{name: "empty subprotocol", request: openingRequest("/ws", "Sec-WebSocket-Protocol:"), want: "a/ws?"},
	} {
		for by, address := range map[string]string{"Accept": direct, "Upgrade": behind} {
			if c.direct && by == "Upgrade" {
				continue
			}
			t.Run(c.name+" by "+by, func(t *testing.T) {
				connect(t, address, c.request).response(t, 101)
				if got := receive(t, "Handshake", targets); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		}
	}
}

// TestUnusualRequestsReachTheHandler: first on a connection, and behind others.
func TestUnusualRequestsReachTheHandler(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite()}, engine.Config{Loops: 1})
	for _, c := range []struct {
		name, request, text string
	}{
		{"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "hello"},
		{"empty line", "\r\n" + get, "hello"},
		{"empty line, then content", "\r\n" + post("{}", "Content-Length: 2"), "{}"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for before := range 3 {
				all := strings.Repeat(post("{}", "Content-Length: 2"), before) + c.request + get
				for cut := 0; cut < len(all); cut += 3 {
					conn := connect(t, address, all[:cut])
					io.WriteString(conn, all[cut:])
					for range before {
						conn.response(t, 200)
					}
					if _, text := conn.response(t, 200); text != c.text {
						t.Errorf("after %d: %q, want %q", before, text, c.text)
					}
					if _, text := conn.response(t, 200); text != "hello" {
						t.Errorf("behind it: %q", text)
					}
					conn.Close()
				}
			}
		})
	}
}

// TestEmptyLineBehindAPostIsNoRequest: a client that ends its content with a line end gets one
// answer.
func TestEmptyLineBehindAPostIsNoRequest(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite()}, engine.Config{Loops: 1})
	c := connect(t, address, post("{}", "Content-Length: 2")+"\r\n")
	if _, text := c.response(t, 200); text != "{}" {
		t.Errorf("%q", text)
	}
	c.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Errorf("unasked for: %q, %v", b, err)
	}
}

// TestHTTP10IsServed, as nginx, HAProxy and ab speak it, and the connection is closed behind it
// unless it asks for more. A WebSocket needs HTTP/1.1.
func TestHTTP10IsServed(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite()}, engine.Config{Loops: 1})
	for _, c := range []struct {
		name, request string
		status        int
		text          string
		stays         bool
	}{
		{name: "HAProxy's httpchk", request: "OPTIONS / HTTP/1.0\r\n\r\n", status: 405, text: "Method Not Allowed\n"},
		{name: "nginx's proxy_pass", request: "GET / HTTP/1.0\r\nHost: app\r\nConnection: close\r\n\r\n", status: 200,
			text: "hello"},
		{name: "ab", request: "GET / HTTP/1.0\r\nHost: a\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
			status: 200, text: "hello"},
		{name: "ab -k", request: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\n\r\n", status: 200,
			text: "hello", stays: true},
		{name: "ab -p", request: "POST /echo HTTP/1.0\r\nContent-length: 2\r\n\r\n{}", status: 200, text: "{}"},
		{name: "a handshake", request: strings.Replace(openingRequest("/"), "HTTP/1.1", "HTTP/1.0", 1), status: 505,
			text: "websocket: opening handshake needs HTTP/1.1 (RFC 6455 section 4.1)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t, address, c.request)
			resp, text := conn.response(t, c.status)
			if text != c.text || resp.Close == c.stays {
				t.Errorf("%q, close %v", text, resp.Close)
			}
			if !c.stays {
				conn.end(t)
				return
			}
			io.WriteString(conn, c.request)
			conn.response(t, c.status)
		})
	}
	_, bare := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	c := connect(t, bare, "GET / HTTP/1.0\r\n\r\n")
	c.response(t, 426)
	c.end(t)
}

// TestMoreThan127Subprotocols: each of 300 is agreed on when it is offered, from a loop and by
// Upgrade.
func TestMoreThan127Subprotocols(t *testing.T) {
	s := &websocket.Server{}
	for i := range 300 {
		s.Subprotocols = append(s.Subprotocols, fmt.Sprint("p", i))
	}
	eng, direct := start(t, s, engine.Config{Loops: 1})
	behind := upgrading(t, s, eng)
	for _, i := range []int{0, 126, 127, 128, 254, 255, 256, 257, 299} {
		want := fmt.Sprint("p", i)
		for _, address := range []string{direct, behind} {
			c := connect(t, address, openingRequest("/", "Sec-WebSocket-Protocol: other, "+want))
			resp, _ := c.response(t, 101)
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != want {
				t.Errorf("%s was offered, %q was agreed on", want, got)
			}
			c.Close()
		}
	}
	client := &websocket.Client{Subprotocols: s.Subprotocols[256:]}
	if o := open(t, client, eng, "ws://"+direct); o.err != nil || o.c.Subprotocol() != "p256" {
		t.Errorf("the client: %v", o.err)
	}
}

// listenUnix listens on a unix socket.
func listenUnix(t *testing.T, eng *engine.Engine, s *websocket.Server) (path string) {
	t.Helper()
	path = t.TempDir() + "/socket"
	if _, err := eng.Listen("unix", path, s.Accept); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClientHostUserAndSocket: what is connected to need not be what the URL and the Host field
// say, and a user in the URL is sent.
func TestClientHostUserAndSocket(t *testing.T) {
	requests := make(chan *http.Request, 1)
	s := &websocket.Server{Handshake: func(h *websocket.Handshake) { requests <- h.Request() }}
	eng, address := start(t, s, engine.Config{Loops: 1})
	socket := listenUnix(t, eng, s)
	for _, c := range []struct {
		name, url, host, user string
		client                *websocket.Client
	}{
		{name: "Host", url: "ws://" + address + "/", host: "other.example",
			client: &websocket.Client{Host: "other.example"}},
		{name: "user", url: "ws://u:secret@" + address + "/", host: address, user: "u:secret",
			client: &websocket.Client{}},
		{name: "user, and a field", url: "ws://u:secret@" + address + "/", host: address, user: "a:b",
			client: &websocket.Client{Header: http.Header{"Authorization": {"Basic YTpi"}}}},
		{name: "unix socket", url: "ws://nobody.invalid/a", host: "nobody.invalid",
			client: &websocket.Client{UnixSocket: socket}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if o := open(t, c.client, eng, c.url); o.err != nil {
				t.Fatal(o.err)
			}
			r := receive(t, "request", requests)
			user, password, ok := r.BasicAuth()
			if r.Host != c.host || ok != (c.user != "") || ok && user+":"+password != c.user {
				t.Errorf("host %q, user %q:%q", r.Host, user, password)
			}
		})
	}
	err := (&websocket.Client{Host: "a b"}).Dial(context.Background(), eng, "ws://a/", nil)
	if err == nil {
		t.Error("a malformed Host is sent")
	}
}
