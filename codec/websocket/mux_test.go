package websocket_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
)

// named is a server that greets with its name.
func named(name string) *websocket.Server {
	return &websocket.Server{Open: func(c *websocket.Conn) { c.SendText(name) }, Subprotocols: []string{name}}
}

func TestMux(t *testing.T) {
	refusals := make(chan websocket.Refusal, 1)
	servers := map[string]*websocket.Server{
		"/chat": named("chat"), "/feed/": named("feed"), "/feed/news/": named("news"), "/feed/news/all": named("all"),
		"/a b": named("space"),
	}
	alone := startAccept(t, (&websocket.Mux{Servers: servers,
		Refused: func(r websocket.Refusal) { refusals <- r }}).Accept)
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
					request := openingRequest(test.path,
						"Sec-WebSocket-Protocol: "+strings.ReplaceAll(test.server+",x", " ", ""))
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
					// net/http resets the connection behind its answer, then
					if test.path != "/feed/%zz" {
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
	address := startAccept(t, (&websocket.Mux{Servers: map[string]*websocket.Server{"/ws": s},
		Handler: http.NotFoundHandler()}).Accept)
	c := connect(t, address, "GET /page HTTP/1.1\r\nHost: a\r\n\r\n"+openingRequest("/ws", "X-Who: Ada"))
	resp, _ := c.response(t, 404)
	io.Copy(io.Discard, resp.Body)
	c.response(t, 101)
	if who := receive(t, "handshake", values); who != "Ada" {
		t.Errorf("%q", who)
	}
}
