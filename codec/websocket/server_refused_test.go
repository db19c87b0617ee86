package websocket_test

import (
	"errors"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestRefused sees every refused handshake, and no other request.
func TestRefused(t *testing.T) {
	refusals := make(chan websocket.Refusal, 1)
	s := &websocket.Server{
		Refused: func(r websocket.Refusal) { refusals <- r },
		Handshake: func(h *websocket.Handshake) {
			if h.Raw.Header("Cookie") == nil {
				h.Refuse(401, "log in first\n")
			}
		},
		Limits: websocket.Limits{MaxHeader: 2000, HandshakeTimeout: 100 * time.Millisecond},
	}
	eng, direct := start(t, s, engine.Config{Loops: 1})
	address, errs := taking(t, s, eng)
	origin := "Origin: https://evil.example"
	for _, test := range []struct {
		name    string
		request string
		status  int
		reason  string // is in it
		origin  string
		upgrade bool // so comes a connection of Upgrade to it, too
		unread  bool // the target is not known
	}{
		{name: "origin", request: openingRequest("/rooms/1?q", origin), status: 403, reason: "origin",
			origin: "https://evil.example", upgrade: true},
		{name: "callback", request: openingRequest("/rooms/1?q"), status: 401, reason: "log in first", upgrade: true},
		{name: "rule", request: openingRequest("/rooms/1?q", "Sec-WebSocket-Version: 12"), status: 426,
			reason: "Version", upgrade: true},
		{name: "limit", request: openingRequest("/rooms/1?q", "X: "+strings.Repeat("y", 3000)), status: 431,
			reason: "limit", upgrade: true, unread: true},
		{name: "malformed", request: "GET / HTTP/1.1\r\nHost : a\r\n\r\n", status: 400, reason: "RFC 9112",
			unread: true},
		{name: "timeout", request: "GET / HTTP", status: 408, reason: "time", unread: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			addresses := []string{direct}
			if test.upgrade {
				addresses = append(addresses, address)
			}
			for _, a := range addresses {
				c := connect(t, a, test.request)
				r := receive(t, "refusal", refusals)
				target := "/rooms/1?q"
				if test.unread {
					target = ""
				}
				if r.RemoteAddr.String() != c.LocalAddr().String() || r.Status != test.status ||
					r.Origin != test.origin || r.Target != target ||
					!strings.Contains(r.Reason.Error(), test.reason) {
					t.Errorf("%+v", r)
				}
				var h *handshake.Error
				if errors.As(r.Reason, &h) != (test.name != "callback") {
					t.Errorf("%T", r.Reason)
				}
				c.response(t, test.status)
				if a == address {
					receive(t, "Upgrade", errs)
				}
			}
		})
	}
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", openingRequest("/", "Cookie: a=b")} {
		status := 426
		if strings.Contains(request, "Cookie") {
			status = 101
		}
		connect(t, direct, request).response(t, status)
	}
	connect(t, address, "GET /rooms/1 HTTP/1.1\r\nHost: a\r\n\r\n").response(t, 426)
	receive(t, "Upgrade", errs)
	select {
	case r := <-refusals:
		t.Errorf("%+v", r)
	default:
	}
}

func TestRefusedOverTheLimit(t *testing.T) {
	refusals := make(chan websocket.Refusal, 1)
	eng, address := start(t, &websocket.Server{MaxHandshakes: 4, Refused: func(r websocket.Refusal) { refusals <- r }},
		engine.Config{Loops: 1})
	connect(t, address, "GET / HTTP")
	await(t, eng, func(s engine.Stats) bool { return s.Accepted == 1 })
	over := connect(t, address, "")
	if r := receive(t, "refusal", refusals); r.Status != 503 || r.RemoteAddr.String() != over.LocalAddr().String() {
		t.Errorf("%+v", r)
	}
}

// TestCheckOrigin decides alone, once for each handshake, and sees the request as net/http does.
func TestCheckOrigin(t *testing.T) {
	asked := make(chan *http.Request, 2)
	s := &websocket.Server{CheckOrigin: func(r *http.Request) bool {
		asked <- r
		return r.Header.Get("Origin") == "https://good.example"
	}, Refused: func(websocket.Refusal) {}}
	eng, direct := start(t, s, engine.Config{Loops: 1})
	address, errs := taking(t, s, eng)
	for _, a := range []string{direct, address} {
		for origin, want := range map[string]int{"https://good.example": 101, "https://evil.example": 403,
			"http://a": 403, "": 403} {
			var fields []string
			if origin != "" {
				fields = append(fields, "Origin: "+origin)
			}
			connect(t, a, openingRequest("/rooms/a%20b", fields...)).response(t, want)
			if r := receive(t, "question", asked); r.URL.Path != "/rooms/a b" || r.Header.Get("Origin") != origin {
				t.Errorf("%v %v", r.URL, r.Header)
			}
			if a == address {
				receive(t, "Upgrade", errs)
			}
			if len(asked) > 0 {
				t.Error("asked twice")
			}
		}
	}
}

// lines is a writer that passes on what it is given.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestRefusalsAreLogged, but only once in a while.
func TestRefusalsAreLogged(t *testing.T) {
	logged := make(lines, 10)
	before, output, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(logged, nil)))
	defer func() { // SetDefault leaves what it has done to package log
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	}()
	_, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	for range 5 {
		c := connect(t, address, openingRequest("/chat", "Origin: https://evil.example"))
		c.response(t, 403)
	}
	got := receive(t, "line", logged)
	if len(logged) > 0 {
		t.Errorf("another line: %s", <-logged)
	}
	for _, want := range []string{"level=WARN", "status=403", "remote=127.0.0.1:", "origin=https://evil.example",
		"target=/chat", "count=1", "RFC 6455"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
