package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// startAccept is start for what is not a Server.
func startAccept(t testing.TB, accept func(*engine.Conn) engine.Protocol) (address string) {
	t.Helper()
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		<-done
	})
	return ln.String()
}

// named is a server that greets with its name.
func named(name string) *websocket.Server {
	return &websocket.Server{Open: func(c *websocket.Conn) { c.SendText(name) }, Subprotocols: []string{name}}
}

func TestMux(t *testing.T) {
	refusals := make(chan websocket.Refusal, 1)
	servers := map[string]*websocket.Server{
		"/chat": named("chat"), "/feed/": named("feed"), "/feed/news/": named("news"), "/feed/news/all": named("all"), "/a b": named("space"),
	}
	alone := startAccept(t, (&websocket.Mux{Servers: servers, Refused: func(r websocket.Refusal) { refusals <- r }}).Accept)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.WriteHeader(418)
		}
		fmt.Fprint(w, "handler of ", r.URL.Path)
	})
	withHandler := startAccept(t, (&websocket.Mux{Servers: servers, Handler: handler}).Accept)
	for _, test := range []struct{ path, server string }{
		{path: "/chat", server: "chat"},
		{path: "/%63hat", server: "chat"},
		{path: "/chat?room=1", server: "chat"},
		{path: "/chat/"},
		{path: "/Chat"},
		{path: "/feed/", server: "feed"},
		{path: "/feed/x/y", server: "feed"},
		{path: "/feed"},
		{path: "/feed/news/", server: "news"},
		{path: "/feed/news/x", server: "news"},
		{path: "/feed/news/all", server: "all"},
		{path: "/feed/news/all/", server: "news"},
		{path: "/a%20b", server: "space"},
		{path: "/feed/.x/..y/", server: "feed"},
		{path: "/feed/../chat"},
		{path: "/feed/./x"},
		{path: "/feed//x"},
		{path: "/feed/%2e%2E/chat"},
		{path: "/feed/.."},
		{path: "/feed/%zz"},
		{path: "/"},
	} {
		t.Run(test.path, func(t *testing.T) {
			for _, address := range []string{alone, withHandler} {
				for _, second := range []bool{false, true} { // on a connection of net/http
					if second && address == alone {
						continue
					}
					request := openingRequest(test.path, "Sec-WebSocket-Protocol: "+strings.ReplaceAll(test.server+",x", " ", ""))
					if test.server == "" {
						request = openingRequest(test.path)
					}
					if second {
						request = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n" + request
					}
					c := connect(t, address, request)
					if second {
						resp, err := http.ReadResponse(c.r, nil)
						if err != nil || resp.StatusCode != 200 {
							t.Fatal(resp, err)
						}
						io.Copy(io.Discard, resp.Body)
					}
					if test.server != "" {
						c.response(t, 101)
						c.expect(t, ws.OpText, test.server)
						c.Close()
						continue
					}
					if test.path != "/feed/%zz" { // net/http resets the connection behind its answer, then
						io.WriteString(c, "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
					}
					switch {
					case address == alone:
						c.response(t, 404)
						if r := receive(t, "refusal", refusals); r.Status != 404 || r.Target != test.path {
							t.Errorf("%+v", r)
						}
					case test.path == "/feed/%zz": // which net/http cannot decode
						c.response(t, 400)
					default:
						if _, text := c.response(t, 418); !strings.HasPrefix(text, "handler of /") {
							t.Errorf("%q", text)
						}
					}
					c.end(t)
				}
			}
		})
	}
}

// TestMuxHasTheLimitsOfTheServer as soon as the path is known.
func TestMuxHasTheLimitsOfTheServer(t *testing.T) {
	s := &websocket.Server{Message: echo, Limits: websocket.Limits{MaxMessage: 10}}
	address := startAccept(t, (&websocket.Mux{Servers: map[string]*websocket.Server{"/": s}, MaxHandshakes: 4}).Accept)
	for range 20 { // handshakes that are done are not counted
		c := dial(t, address)
		c.ask(t, ws.OpText, "0123456789")
		ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte("0123456789a"))))
		if code, _ := c.closeCode(t); code != 1009 {
			t.Fatal(code)
		}
	}
	if c := connect(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); true {
		c.response(t, 426)
	}
}

func TestMuxOfUpgradedRequests(t *testing.T) {
	values := make(chan string, 1)
	s := &websocket.Server{Handshake: func(h *websocket.Handshake) { values <- h.Request().Header.Get("X-Who") }}
	address := startAccept(t, (&websocket.Mux{Servers: map[string]*websocket.Server{"/ws": s}, Handler: http.NotFoundHandler()}).Accept)
	c := connect(t, address, "GET /page HTTP/1.1\r\nHost: a\r\n\r\n"+openingRequest("/ws", "X-Who: Ada"))
	resp, _ := c.response(t, 404)
	io.Copy(io.Discard, resp.Body)
	c.response(t, 101)
	if who := receive(t, "handshake", values); who != "Ada" {
		t.Errorf("%q", who)
	}
}

func TestCheck(t *testing.T) {
	good := websocket.Server{
		Origins:      []string{"*", "https://example.com", "https://*.example.com:8443", "http://localhost:*", "http://[::1]:8080", "chrome-extension://abc"},
		Subprotocols: []string{"v1.example", "graphql-ws"}, Compression: &websocket.Compression{Level: 9, ServerWindowBits: 8},
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if err := (&websocket.Mux{Servers: map[string]*websocket.Server{"/": &good, "/a/": &good, "/a/b": &good}}).Check(); err != nil {
		t.Error(err)
	}
	yes := func(*http.Request) bool { return true }
	servers := []*websocket.Server{
		{Origins: []string{"*"}, CheckOrigin: yes},
		{Subprotocols: []string{""}}, {Subprotocols: []string{"a b"}}, {Subprotocols: []string{"a", "b", "a"}},
		{Compression: &websocket.Compression{Level: 10}}, {Compression: &websocket.Compression{ClientWindowBits: 7}},
	}
	for _, pattern := range []string{"", "example.com", "https://", "https://example.com/", "https://example.com/path", "https://ex*mple.com",
		"*.example.com", "https://*.*.example.com", "https://*", "https://example.com:", "https://example.com:port", "https://exämple.com",
		"https://a b", "//example.com", "https://user@example.com", "https://[::1"} {
		servers = append(servers, &websocket.Server{Origins: []string{"https://good.example", pattern}})
	}
	for _, s := range servers {
		if err := s.Check(); err == nil {
			t.Errorf("Origins %q, Subprotocols %q, Compression %+v pass", s.Origins, s.Subprotocols, s.Compression)
		}
		if err := s.ListenAndServe(t.Context(), "127.0.0.1:0"); err == nil {
			t.Error("ListenAndServe serves them")
		}
	}
	for _, p := range []string{"", "chat", "/a/../b", "/a//b", "/./", "//"} {
		m := &websocket.Mux{Servers: map[string]*websocket.Server{p: {}}}
		if err := m.Check(); err == nil {
			t.Errorf("path %q passes", p)
		} else if m.ListenAndServe(t.Context(), "127.0.0.1:0") == nil {
			t.Error("ListenAndServe serves it")
		}
	}
	for _, s := range []*websocket.Server{nil, {Origins: []string{"example.com"}}, {Handler: http.NotFoundHandler()}} {
		if err := (&websocket.Mux{Servers: map[string]*websocket.Server{"/": s}}).Check(); err == nil {
			t.Errorf("Server %+v passes", s)
		}
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if err := (&websocket.Client{Compression: &websocket.Compression{Level: 10}}).Dial(t.Context(), eng, "ws://127.0.0.1/", nil); err == nil {
		t.Error("a Client with a level out of range dials")
	}
}

// TestBrokenServerAcceptsNobody, and says so.
func TestBrokenServerAcceptsNobody(t *testing.T) {
	broken := &websocket.Server{Origins: []string{"example.com"}}
	for name, accept := range map[string]func(*engine.Conn) engine.Protocol{
		"Server": broken.Accept,
		"Mux":    (&websocket.Mux{Servers: map[string]*websocket.Server{"/": broken}}).Accept,
	} {
		t.Run(name, func(t *testing.T) {
			panics := make(chan string, 1)
			address := startAccept(t, func(c *engine.Conn) engine.Protocol {
				defer func() { panics <- fmt.Sprint(recover()) }()
				return accept(c)
			})
			for range 2 {
				if c, err := net.Dial("tcp", address); err == nil {
					defer c.Close()
				}
				if text := receive(t, "panic", panics); !strings.Contains(text, `"https://example.com"`) {
					t.Errorf("panic with %q", text)
				}
			}
		})
	}
	eng, _ := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	address, errs := taking(t, broken, eng)
	connect(t, address, openingRequest("/rooms/1")).response(t, 500)
	if err := receive(t, "Upgrade", errs); err == nil || !strings.Contains(err.Error(), "scheme") {
		t.Error(err)
	}
}

func TestListenAndServe(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := (&websocket.Server{}).ListenAndServe(t.Context(), address); err == nil {
		t.Fatal("listens on an address in use")
	}
	free.Close()
	for name, serve := range map[string]func(context.Context, string) error{
		"Server": (&websocket.Server{Message: echo}).ListenAndServe,
		"Mux":    (&websocket.Mux{Servers: map[string]*websocket.Server{"/": {Message: echo}}}).ListenAndServe,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- serve(ctx, address) }()
			until(t, "server that listens", func() bool {
				c, err := net.Dial("tcp", address)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
			c := dial(t, address)
			c.ask(t, ws.OpText, "hello")
			cancel()
			if code, _ := c.closeCode(t); code != ws.StatusGoingAway {
				t.Error(code)
			}
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, ""))))
			if err := receive(t, "end", done); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestServeHTTP(t *testing.T) {
	s := &websocket.Server{Message: echo, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") })}
	s.Engine, _ = start(t, s, engine.Config{Loops: 1})
	mux := http.NewServeMux()
	mux.Handle("/ws", s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: mux}
	go web.Serve(ln)
	defer web.Close()
	address := ln.Addr().String()
	c := connect(t, address, "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	io.WriteString(c, openingRequest("/ws"))
	c.response(t, 101)
	c.ask(t, ws.OpText, "hello")
	defer func() {
		if recover() == nil {
			t.Error("a Server without an Engine serves")
		}
	}()
	(&websocket.Server{}).ServeHTTP(nil, nil)
}
