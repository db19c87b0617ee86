package websocket_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func TestCheck(t *testing.T) {
	good := websocket.Server{
		Origins: []string{"*", "https://example.com", "https://*.example.com:8443", "http://localhost:*",
			"http://[::1]:8080", "chrome-extension://abc"},
		Hosts:        []string{"localhost", "example.com:8443", "[::1]", "https://example.com"},
		Subprotocols: []string{"v1.example", "graphql-ws"},
		Compression:  &websocket.Compression{Level: 9, ServerWindowBits: 8},
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if err := (&websocket.Mux{Servers: map[string]*websocket.Server{"/": &good, "/a/": &good,
		"/a/b": &good}}).Check(); err != nil {
		t.Error(err)
	}
	yes := func(*http.Request) bool { return true }
	servers := []*websocket.Server{
		{Origins: []string{"*"}, CheckOrigin: yes},
		{Subprotocols: []string{""}}, {Subprotocols: []string{"a b"}}, {Subprotocols: []string{"a", "b", "a"}},
		{Rate: &websocket.Rate{Messages: 1, CloseCode: 999}}, {Rate: &websocket.Rate{Burst: -1}},
		{Compression: &websocket.Compression{Level: 10}}, {Compression: &websocket.Compression{ClientWindowBits: 7}},
	}
	for _, pattern := range []string{"", "example.com", "https://", "https://example.com/", "https://example.com/path",
		"https://ex*mple.com", "https://*.example.com:*",
		"*.example.com", "https://*.*.example.com", "https://*", "https://example.com:", "https://example.com:port",
		"https://exämple.com",
		"https://a b", "//example.com", "https://user@example.com", "https://[::1"} {
		servers = append(servers, &websocket.Server{Origins: []string{"https://good.example", pattern}})
	}
	for _, host := range []string{"", "*", "https://", "ftp://a", "a/", "a:port", "a b", "[::1"} {
		servers = append(servers, &websocket.Server{Hosts: []string{"good.example", host}})
	}
	for _, s := range servers {
		if err := s.Check(); err == nil {
			t.Errorf("Hosts %q, Origins %q, Subprotocols %q, Compression %+v pass", s.Hosts,
				s.Origins, s.Subprotocols, s.Compression)
		}
		if err := s.ListenAndServe(t.Context(), "127.0.0.1:0"); err == nil {
			t.Error("ListenAndServe serves them")
		}
	}
	for _, p := range []string{"", "chat", "/a/../b", "/a//b", "/./", "//", "/room/{name}"} {
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
	if err := (&websocket.Client{Compression: &websocket.Compression{Level: 10}}).Dial(t.Context(), eng,
		"ws://127.0.0.1/", nil); err == nil {
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
