package websocket_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// openRaw is a client that has asked for target, with further fields, and been answered.
func openRaw(t testing.TB, address, target string, fields ...string) (c *client, status int) {
	t.Helper()
	c = connect(t, address, openingRequest(target, fields...))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, resp.StatusCode
}

// TestHandshakeRequest: Request is what net/http would have made of it.
func TestHandshakeRequest(t *testing.T) {
	requests := make(chan *http.Request, 1)
	opened := make(chan struct{}, 1)
	_, address := start(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) { requests <- h.Request() },
		Open:      func(*websocket.Conn) { opened <- struct{}{} },
	}, engine.Config{Loops: 1})
	nc, status := openRaw(t, address, "/a%2Fb%20c/d?q=1&r=a%26b", "Cookie: session=7; theme=dark", "x-token: a",
		"X-Token: b", "Host: example.com:81")
	if status != 101 {
		t.Fatal(status)
	}
	r := receive(t, "request", requests)
	receive(t, "Open", opened)
	if r.URL.Path != "/a/b c/d" || r.URL.RawPath != "/a%2Fb%20c/d" || r.URL.Query().Get("r") != "a&b" {
		t.Errorf("URL %#v", r.URL)
	}
	if c, err := r.Cookie("session"); err != nil || c.Value != "7" {
		t.Errorf("cookie %v, %v", c, err)
	}
	if got := strings.Join(r.Header["X-Token"], " "); got != "a b" {
		t.Errorf("X-Token %q", got)
	}
	if r.Host != "example.com:81" || r.Header["Host"] != nil || r.Method != "GET" ||
		r.RequestURI != "/a%2Fb%20c/d?q=1&r=a%26b" || !r.ProtoAtLeast(1, 1) {
		t.Errorf("host %q, fields %v, %s %s %s", r.Host, r.Header["Host"], r.Method, r.RequestURI, r.Proto)
	}
	if r.RemoteAddr != nc.LocalAddr().String() {
		t.Errorf("address %s, want %s", r.RemoteAddr, nc.LocalAddr())
	}
	if b, err := io.ReadAll(r.Body); len(b) > 0 || err != nil {
		t.Errorf("body %q, %v", b, err)
	}

	derived, cancel := context.WithTimeout(r.Context(), time.Hour)
	defer cancel()
	if r.Context().Err() != nil || derived.Err() != nil {
		t.Fatal("the context has ended before the connection")
	}
	nc.Close()
	receive(t, "end of the context", r.Context().Done())
	receive(t, "end of a derived context", derived.Done())
	if r.Context().Err() != context.Canceled || context.Cause(derived) != context.Canceled {
		t.Errorf("%v, %v", r.Context().Err(), context.Cause(derived))
	}
	late, cancel := context.WithCancel(r.Context())
	defer cancel()
	receive(t, "end of a context derived afterwards", late.Done())
}

// TestHandshakeOfUpgradeHasALiveContext: that of net/http ends when the handler returns.
func TestHandshakeOfUpgradeHasALiveContext(t *testing.T) {
	requests := make(chan *http.Request, 1)
	s := &websocket.Server{Handshake: func(h *websocket.Handshake) { requests <- h.Request() }}
	eng, _ := start(t, s, engine.Config{Loops: 1})
	address, errs := taking(t, s, eng)
	nc, status := openRaw(t, address, "/rooms/5")
	if err := receive(t, "Upgrade", errs); err != nil || status != 101 {
		t.Fatal(err, status)
	}
	r := receive(t, "request", requests)
	if r.PathValue("room") != "5" || r.Context().Value(userKey{}) != "Ada" || r.Context().Err() != nil {
		t.Errorf("room %q, user %v, %v", r.PathValue("room"), r.Context().Value(userKey{}), r.Context().Err())
	}
	nc.Close()
	receive(t, "end of the context", r.Context().Done())
}

func TestHandshakeRequestThatCannotBeDecoded(t *testing.T) {
	_, address := start(t, &websocket.Server{Handshake: func(h *websocket.Handshake) {
		if h.Request().URL.Path != "" {
			t.Errorf("path %q", h.Request().URL.Path)
		}
	}, Open: func(*websocket.Conn) { t.Error("opened") }}, engine.Config{Loops: 1})
	if _, status := openRaw(t, address, "/admin%zz"); status != 400 {
		t.Errorf("status %d, want 400", status)
	}
}
