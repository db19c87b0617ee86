package websocket_test

import (
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestRefuseWithJSON: a refusal with a Content-Type of its own ended as status 500 without a body,
// and nobody was told why.
func TestRefuseWithJSON(t *testing.T) {
	const body = `{"error":"token expired"}`
	refusals := make(chan websocket.Refusal, 1)
	_, address := start(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			h.ResponseHeader().Set("Content-Type", "application/json")
			if string(h.Raw.Path) == "/refuse" {
				h.Refuse(401, body)
			}
		},
		Refused: func(r websocket.Refusal) { refusals <- r },
	}, engine.Config{Loops: 1})
	resp, text := connect(t, address, openingRequest("/refuse")).response(t, 401)
	if got := resp.Header.Values("Content-Type"); text != body || len(got) != 1 || got[0] != "application/json" {
		t.Errorf("%q with %q", text, got)
	}
	if r := receive(t, "refusal", refusals); r.Status != 401 || !strings.Contains(r.Reason.Error(), body) {
		t.Errorf("%+v", r)
	}
	resp, _ = connect(t, address, openingRequest("/")).response(t, 101)
	if got := resp.Header.Values("Content-Type"); len(got) != 0 {
		t.Errorf("accepted with a Content-Type: %q", got)
	}
}

// TestMistakesInHandshake: what the callback asks for and cannot be is status 500, and the log or
// Refused says why. Some of it was silent.
func TestMistakesInHandshake(t *testing.T) {
	for _, test := range []struct {
		name    string
		mistake func(*websocket.Handshake)
		reason  string
	}{
		{name: "refused with success", reason: "status 200",
			mistake: func(h *websocket.Handshake) { h.Refuse(200, "") }},
		{name: "refused with 101", reason: "status 101", mistake: func(h *websocket.Handshake) { h.Refuse(101, "") }},
		{name: "refused with 0", reason: "status 0", mistake: func(h *websocket.Handshake) { h.Refuse(0, "") }},
		{name: "refused with 600", reason: "status 600", mistake: func(h *websocket.Handshake) { h.Refuse(600, "") }},
		{name: "refused with a reserved field", reason: "Content-Length", mistake: func(h *websocket.Handshake) {
			h.ResponseHeader().Set("Content-Length", "3")
			h.Refuse(403, "no\n")
		}},
		{name: "refused with two types", reason: "Content-Type", mistake: func(h *websocket.Handshake) {
			h.ResponseHeader()["Content-Type"] = []string{"text/plain", "text/html"}
			h.Refuse(403, "no\n")
		}},
		{name: "refused with a split field", reason: "control character", mistake: func(h *websocket.Handshake) {
			h.ResponseHeader().Set("X", "a\r\nSet-Cookie: b")
			h.Refuse(403, "no\n")
		}},
		{name: "accepted with a reserved field", reason: "Upgrade",
			mistake: func(h *websocket.Handshake) { h.ResponseHeader().Set("Upgrade", "x") }},
		{name: "subprotocol that was not offered", reason: "v9",
			mistake: func(h *websocket.Handshake) { h.Subprotocol = "v9" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusals := make(chan websocket.Refusal, 2)
			_, address := start(t, &websocket.Server{Handshake: test.mistake,
				Refused: func(r websocket.Refusal) { refusals <- r },
				Open:    func(*websocket.Conn) { t.Error("opened") }}, engine.Config{Loops: 1})
			resp, _ := connect(t, address, openingRequest("/path")).response(t, 500)
			if !resp.Close || resp.Header.Get("Set-Cookie") != "" {
				t.Errorf("%v", resp.Header)
			}
			r := receive(t, "refusal", refusals)
			if r.Status != 500 || r.Target != "/path" || !strings.Contains(r.Reason.Error(), test.reason) {
				t.Errorf("%+v", r)
			}
			if len(refusals) > 0 {
				t.Error("told twice")
			}
		})
	}
}

// TestRefuseNotModified has no content: bytes behind the head belonged to no response.
func TestRefuseNotModified(t *testing.T) {
	_, address := start(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.Refuse(304, "no such thing\n") }}, engine.Config{Loops: 1})
	c := connect(t, address, openingRequest("/"))
	resp, text := c.response(t, 304)
	if text != "" || resp.Header.Get("Content-Length") != "" {
		t.Errorf("%q, %v", text, resp.Header)
	}
	c.end(t)
}

// TestSubprotocolThatIsNotListed: the callback may choose any that the client offers. It ended as
// status 500.
func TestSubprotocolThatIsNotListed(t *testing.T) {
	closed := make(chan string, 1)
	_, address := start(t, &websocket.Server{
		Subprotocols: []string{"v1"},
		Handshake:    func(h *websocket.Handshake) { h.Subprotocol = "graphql-ws" },
		Message:      echo,
		Compression:  &websocket.Compression{},
		Close:        func(c *websocket.Conn, _ error) { closed <- c.Subprotocol() },
	}, engine.Config{Loops: 1})
	c := connect(t, address, openingRequest("/", "Sec-WebSocket-Protocol: v1, graphql-ws"))
	if resp, _ := c.response(t, 101); resp.Header.Get("Sec-WebSocket-Protocol") != "graphql-ws" {
		t.Errorf("%v", resp.Header)
	}
	c.ask(t, ws.OpText, "hello")
	c.Close()
	if got := receive(t, "Close", closed); got != "graphql-ws" {
		t.Errorf("%q in Close", got)
	}
}

// TestUpgradeTellsOfMistakes: ServeHTTP cannot return what Upgrade does. So a Server that fails its
// Check was a silent 500, and a ResponseWriter without a connection a silent 501.
func TestUpgradeTellsOfMistakes(t *testing.T) {
	eng, _ := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	for _, test := range []struct {
		name   string
		server *websocket.Server
		status int
		reason string
	}{
		{name: "Check", server: &websocket.Server{Origins: []string{"no scheme"}}, status: 500, reason: "no scheme"},
		{name: "hijack", server: &websocket.Server{}, status: 501, reason: "taken over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusals := make(chan websocket.Refusal, 2)
			test.server.Engine = eng
			test.server.Refused = func(r websocket.Refusal) { refusals <- r }
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				test.server.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
			}))
			defer web.Close()
			connect(t, web.Listener.Addr().String(), openingRequest("/")).response(t, test.status)
			r := receive(t, "refusal", refusals)
			if r.Status != test.status || !strings.Contains(r.Reason.Error(), test.reason) || !r.RemoteAddr.IsValid() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestMistakesAreLogged by the place where refusals are, if there is no Refused. A refusal just
// before, which anybody can cause, does not hide one.
func TestMistakesAreLogged(t *testing.T) {
	logged := make(lines, 10)
	before, output, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(logged, nil)))
	defer func() { // SetDefault leaves what it has done to package log
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	}()
	_, address := start(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.Refuse(200, "") }}, engine.Config{Loops: 1})
	connect(t, address, "GET / HTTP/1.1\r\n\r\n").response(t, 400)
	if got := receive(t, "line", logged); !strings.Contains(got, "status=400") {
		t.Errorf("logged %q", got)
	}
	for range 3 {
		connect(t, address, openingRequest("/")).response(t, 500)
	}
	if got := receive(t, "line", logged); !strings.Contains(got, "Handshake.Refuse with status 200") {
		t.Errorf("logged %q", got)
	}
	if len(logged) > 0 {
		t.Errorf("another line: %s", <-logged)
	}
}
