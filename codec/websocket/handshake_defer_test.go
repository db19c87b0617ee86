package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// deferring returns a Server that defers each handshake and hands it to the test.
func deferring() (*websocket.Server, chan *websocket.Deferred) {
	deferred := make(chan *websocket.Deferred, 16)
	return &websocket.Server{
		Message:      echo,
		Subprotocols: []string{"v1", "v2"},
		Refused:      func(websocket.Refusal) {},
		Handshake: func(h *websocket.Handshake) {
			h.ResponseHeader().Set("X-Before", "1")
			deferred <- h.Defer()
		},
	}, deferred
}

func decide(t *testing.T, d *websocket.Deferred, f func(*websocket.Handshake)) {
	t.Helper()
	if err := d.Decide(f); err != nil {
		t.Fatal(err)
	}
}

func agreed(*websocket.Handshake) {}

// frameOf returns a client's text message.
func frameOf(text string) string {
	var b bytes.Buffer
	ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
	return b.String()
}

func TestDeferredHandshake(t *testing.T) {
	for _, test := range []struct {
		name   string
		decide func(*websocket.Handshake)
		status int
		header string // X-Before, X-After and the subprotocol
		body   string
	}{
		{name: "accepted", decide: agreed, status: 101, header: "1//v1"},
		{name: "with more", status: 101, header: "1/2/v2", decide: func(h *websocket.Handshake) {
			h.Subprotocol = "v2"
			h.ResponseHeader().Set("X-After", "2")
		}},
		{name: "refused", status: 401, header: "1//", body: "log in first\n", decide: func(h *websocket.Handshake) {
			h.Refuse(401, "log in first\n")
		}},
		{name: "by the request", status: 404, header: "1//", body: "/a b c=d", decide: func(h *websocket.Handshake) {
			r := h.Request()
			h.Refuse(404, r.URL.Path+" "+r.URL.RawQuery)
		}},
		{name: "impossible", status: 500, decide: func(h *websocket.Handshake) { h.Subprotocol = "v9" }},
		{name: "panic", status: 500, decide: func(*websocket.Handshake) { panic("a mistake") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, deferred := deferring()
			_, address := start(t, s, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			c := connect(t, address, openingRequest("/a%20b?c=d", "Sec-WebSocket-Protocol: v2, v1"))
			decide(t, receive(t, "Handshake", deferred), test.decide)
			resp, body := c.response(t, test.status)
			h := resp.Header
			got := strings.Join([]string{h.Get("X-Before"), h.Get("X-After"), h.Get("Sec-WebSocket-Protocol")}, "/")
			if test.header != "" && (got != test.header || body != test.body) {
				t.Errorf("header %s, body %q; want %s, %q", got, body, test.header, test.body)
			}
			if test.status == 101 {
				c.ask(t, ws.OpText, "hello")
			}
		})
	}
}

// TestDeferredHandshakeKeepsEarlyFrames: what a client sends behind its request, with it and later,
// waits for the decision.
func TestDeferredHandshakeKeepsEarlyFrames(t *testing.T) {
	early := frameOf("one") + frameOf("two")
	for _, test := range []struct{ name, with, later string }{
		{name: "none"},
		{name: "with the request", with: early},
		{name: "later", later: early},
		{name: "both", with: early[:12], later: early[12:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, deferred := deferring()
			eng, address := start(t, s, engine.Config{Loops: 1})
			received := func() uint64 {
				s, err := eng.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return s.BytesRead
			}
			c := connect(t, address, openingRequest("/")+test.with)
			d := receive(t, "Handshake", deferred)
			before := received()
			if _, err := io.WriteString(c, test.later); err != nil {
				t.Fatal(err)
			}
			if test.later != "" && test.with == "" { // otherwise reading is paused
				until(t, "frame at the server", func() bool { return received() > before })
			}
			decide(t, d, agreed)
			c.response(t, 101)
			if test.with != "" || test.later != "" {
				c.expect(t, ws.OpText, "one")
				c.expect(t, ws.OpText, "two")
			}
			c.ask(t, ws.OpText, "three")
		})
	}
}

// TestUndecidedHandshakeEnds: it is answered in time, and told.
func TestUndecidedHandshakeEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    func(e *engine.Engine, c *client)
		status int
		reason string
	}{
		{name: "timeout", status: 503, reason: "no decision within the time for it"},
		{name: "shutdown", status: 503, reason: "the server is shutting down",
			end: func(e *engine.Engine, _ *client) { go e.Shutdown(context.Background()) }},
		{name: "client goes away", end: func(_ *engine.Engine, c *client) { c.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, deferred := deferring()
			if test.end == nil {
				s.HandshakeTimeout = 50 * time.Millisecond
			}
			refused := make(chan websocket.Refusal, 1)
			s.Refused = func(r websocket.Refusal) { refused <- r }
			e, address := start(t, s, engine.Config{Loops: 1})
			c := connect(t, address, openingRequest("/room"))
			d := receive(t, "Handshake", deferred)
			if test.end != nil {
				test.end(e, c)
			}
			if test.status != 0 {
				c.response(t, test.status)
				r := receive(t, "Refusal", refused)
				if r.Status != test.status || r.Target != "/room" || !strings.Contains(r.Reason.Error(), test.reason) {
					t.Errorf("told of %+v", r)
				}
				c.Close()
			}
			receive(t, "end of the context", d.Context().Done())
			if err := d.Decide(agreed); !errors.Is(err, engine.ErrClosed) {
				t.Errorf("Decide: %v", err)
			}
		})
	}
}

// TestDeferredHandshakeIsDecidedOnce, and a mistake does not decide it.
func TestDeferredHandshakeIsDecidedOnce(t *testing.T) {
	s, deferred := deferring()
	_, address := start(t, s, engine.Config{Loops: 1})
	c := connect(t, address, openingRequest("/"))
	d := receive(t, "Handshake", deferred)
	if err := d.Decide(nil); err == nil {
		t.Error("a nil function was accepted")
	}
	decide(t, d, func(h *websocket.Handshake) { // another look-up
		deferred <- h.Defer()
	})
	again := receive(t, "second Defer", deferred)
	if err := d.Decide(agreed); again == d || !errors.Is(err, websocket.ErrDecided) {
		t.Errorf("decided twice: %v", err)
	}
	decide(t, again, agreed)
	c.response(t, 101)
}

// TestDeferredHandshakeRefusedAtOnce: to refuse in the callback counts, and a decision comes too
// late.
func TestDeferredHandshakeRefusedAtOnce(t *testing.T) {
	_, address := start(t, &websocket.Server{Refused: func(websocket.Refusal) {},
		Handshake: func(h *websocket.Handshake) {
			d := h.Defer()
			if d != h.Defer() {
				t.Error("another Deferred for the same handshake")
			}
			if err := d.Decide(func(*websocket.Handshake) { t.Error("decided after it was refused") }); err != nil {
				t.Error(err)
			}
			h.Refuse(403, "no\n")
		}}, engine.Config{Loops: 1})
	connect(t, address, openingRequest("/")).response(t, 403)
}

// TestDeferredHandshakesAreInProgress: they count for MaxHandshakes, behind a Mux as well.
func TestDeferredHandshakesAreInProgress(t *testing.T) {
	for _, test := range []struct {
		name   string
		accept func(*websocket.Server) func(*engine.Conn) engine.Protocol
	}{
		{name: "Server", accept: func(s *websocket.Server) func(*engine.Conn) engine.Protocol {
			s.MaxHandshakes = 1
			return s.Accept
		}},
		{name: "Mux", accept: func(s *websocket.Server) func(*engine.Conn) engine.Protocol {
			return (&websocket.Mux{Servers: map[string]*websocket.Server{"/": s}, MaxHandshakes: 1,
				Refused: func(websocket.Refusal) {}}).Accept
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, deferred := deferring()
			address := startAccept(t, test.accept(s))
			for range 3 {
				first := connect(t, address, openingRequest("/"))
				d := receive(t, "Handshake", deferred)
				connect(t, address, "").response(t, 503)
				decide(t, d, agreed)
				first.response(t, 101)
			}
		})
	}
}

// TestDeferredUpgrade: a connection that net/http has given away is decided like others.
func TestDeferredUpgrade(t *testing.T) {
	s, deferred := deferring()
	eng, _ := start(t, s, engine.Config{Loops: 1})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Upgrade(eng, w, r.WithContext(context.WithValue(r.Context(), t, "value")))
	}))
	defer web.Close()
	c := connect(t, web.Listener.Addr().String(), openingRequest("/")+frameOf("early"))
	decide(t, receive(t, "Handshake", deferred), func(h *websocket.Handshake) {
		if got := h.Request().Context().Value(t); got != "value" {
			t.Errorf("the request's context has %v", got)
		}
	})
	c.response(t, 101)
	c.expect(t, ws.OpText, "early")
}

// TestDeferredHandshakeKeepsItsRequest, whatever the loop reads into its buffer meanwhile.
func TestDeferredHandshakeKeepsItsRequest(t *testing.T) {
	s, deferred := deferring()
	_, address := start(t, s, engine.Config{Loops: 1})
	var clients [3]*client
	var decisions [3]*websocket.Deferred
	for i, target := range []string{"/first", "/second/and/longer", "/3"} {
		clients[i] = connect(t, address, openingRequest(target))
		decisions[i] = receive(t, "Handshake", deferred)
	}
	for i, d := range decisions {
		decide(t, d, func(h *websocket.Handshake) { h.Refuse(403, string(h.Raw.Target)) })
		if _, body := clients[i].response(t, 403); body != []string{"/first", "/second/and/longer", "/3"}[i] {
			t.Errorf("request %d was %s", i, body)
		}
	}
}

// TestDecisionsRaceWithEnds: clients go away while their handshakes are decided.
func TestDecisionsRaceWithEnds(t *testing.T) {
	var deciding sync.WaitGroup
	t.Cleanup(deciding.Wait) // when the engine has ended, and calls Handshake no more
	s := &websocket.Server{Message: echo, Refused: func(websocket.Refusal) {},
		Limits: websocket.Limits{HandshakeTimeout: 30 * time.Millisecond},
		Handshake: func(h *websocket.Handshake) {
			d, wait := h.Defer(), time.Duration(len(h.Raw.Path)%7)*5*time.Millisecond
			deciding.Go(func() {
				select {
				case <-d.Context().Done():
				case <-time.After(wait):
				}
				if err := d.Decide(agreed); err != nil && !errors.Is(err, engine.ErrClosed) {
					t.Error(err)
				}
			})
		}}
	_, address := start(t, s, engine.Config{Loops: 2})
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			c := connect(t, address, openingRequest("/"+strings.Repeat("a", i))+frameOf("hello"))
			if i%3 == 0 {
				c.Close()
				return
			}
			resp, err := http.ReadResponse(c.r, nil)
			switch {
			case err != nil:
				t.Errorf("%d: %v", i, err)
			case resp.StatusCode == 101:
				c.expect(t, ws.OpText, "hello")
			case resp.StatusCode != 503 && resp.StatusCode != 408:
				t.Errorf("%d: status %d", i, resp.StatusCode)
			}
			c.Close()
		})
	}
	clients.Wait()
}

// TestDeferredHandshakeWithALargeHead: a Mux may have larger limits than the Server of the path.
// The request was read again with the Server's, and the client's choice of size was a panic.
func TestDeferredHandshakeWithALargeHead(t *testing.T) {
	for _, test := range []struct {
		name    string
		request string
		server  websocket.Limits
	}{
		{name: "header", request: openingRequest("/", "Cookie: "+strings.Repeat("c", 20_000))},
		{name: "line", request: openingRequest("/" + strings.Repeat("a", 9_000)),
			server: websocket.Limits{MaxStartLine: 100}},
		{name: "fields", request: openingRequest("/"), server: websocket.Limits{MaxHeaderFields: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, deferred := deferring()
			s.Limits = test.server
			address := startAccept(t, (&websocket.Mux{Servers: map[string]*websocket.Server{"/": s},
				Limits: websocket.Limits{MaxHeader: 64 << 10, MaxStartLine: 32 << 10}}).Accept)
			c := connect(t, address, test.request)
			decide(t, receive(t, "Handshake", deferred), agreed)
			c.response(t, 101)
		})
	}
}

// TestDecisionAboutAClosingConnection: nobody can accept it any more.
func TestDecisionAboutAClosingConnection(t *testing.T) {
	deferred := make(chan *websocket.Deferred, 1)
	s := &websocket.Server{Handshake: func(h *websocket.Handshake) {
		d := h.Defer()
		h.Conn.Close(1000, "")
		deferred <- d
	}}
	eng, address := start(t, s, engine.Config{Loops: 1})
	connect(t, address, openingRequest("/"))
	err := receive(t, "Handshake", deferred).Decide(func(*websocket.Handshake) { t.Error("decided") })
	if err != nil && !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
	if _, err := eng.Stats(t.Context()); err != nil { // behind the decision
		t.Error(err)
	}
}
