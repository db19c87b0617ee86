package websocket_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestUpgrade: a request that has gone through a router and middleware becomes a connection of the
// engine, with the frames that came with it, and its goroutine is free.
func TestUpgrade(t *testing.T) {
	opened, closed := make(chan string, 1), make(chan error, 1)
	s := &websocket.Server{
		Subprotocols: []string{"v2", "v1"},
		Compression:  &websocket.Compression{},
		Handshake: func(u *websocket.Handshake) {
			u.Conn.Value = fmt.Sprint(u.Request().PathValue("room"), " ", u.Request().Context().Value(userKey{}), " ",
				string(u.Raw.Query))
			u.ResponseHeader().Set("X-More", "y")
		},
		Open:    func(c *websocket.Conn) { opened <- fmt.Sprint(c.Value, " ", c.Subprotocol()) },
		Message: echo,
		Close:   func(_ *websocket.Conn, err error) { closed <- err },
	}
	eng, _ := start(t, s, engine.Config{Loops: 2})
	address, errs := taking(t, s, eng)
	b := []byte(openingRequest("/rooms/5?q=1", "Origin: http://a", "Sec-WebSocket-Protocol: v1, v2",
		"Sec-WebSocket-Extensions: permessage-deflate"))
	b = wsproto.AppendMasked(b, wsproto.Text, 77, []byte("early"))
	b = wsproto.AppendMasked(b, wsproto.Text, 78, []byte(strings.Repeat("bird", 10_000)))
	c := connect(t, address, string(b))
	resp, _ := c.response(t, 101)
	for name, want := range map[string]string{"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
		"Sec-WebSocket-Protocol": "v2",
		"Set-Cookie":             "session=7", "X-More": "y", "Content-Type": ""} {
		if got := strings.Join(resp.Header.Values(name), " "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		t.Errorf("no compression: %v", resp.Header)
	}
	if got := receive(t, "Open", opened); got != "5 Ada q=1 v2" {
		t.Errorf("opened with %q", got)
	}
	c.expect(t, ws.OpText, "early")
	if f, err := readFrame(c.r); err != nil || f.Header.Rsv == 0 {
		t.Errorf("the second frame: %v, %v", f.Header, err)
	}
	if err := receive(t, "Upgrade", errs); err != nil {
		t.Error(err)
	}
	until(t, "end of the handler's goroutine", func() bool { return !inNetHTTP() })
	c.ask(t, ws.OpText, "later")
	c.Close()
	if err := receive(t, "Close", closed); err == nil {
		t.Error("no reason")
	}
}

// TestUpgradeRefusesAsAcceptDoes: the same request gets the same status and text by net/http and by
// the reactor.
func TestUpgradeRefusesAsAcceptDoes(t *testing.T) {
	s := &websocket.Server{
		Subprotocols: []string{"v1"},
		Limits:       websocket.Limits{MaxHeader: 2000},
		Handshake: func(u *websocket.Handshake) {
			if u.Raw.Header("Cookie") == nil {
				u.Refuse(403, "who are you?\n")
			}
		},
	}
	eng, direct := start(t, s, engine.Config{Loops: 1})
	address, errs := taking(t, s, eng)
	for _, c := range []struct {
		name    string
		changes []string
		status  int
		later   bool // by Upgrade, when Upgrade has returned
	}{
		{name: "no upgrade", changes: []string{"-Upgrade"}, status: 426},
		{name: "another upgrade", changes: []string{"Upgrade: h2c"}, status: 426},
		{name: "no Connection", changes: []string{"Connection: keep-alive"}, status: 400},
		{name: "version 8", changes: []string{"Sec-WebSocket-Version: 8"}, status: 426},
		{name: "no key", changes: []string{"-Sec-WebSocket-Key"}, status: 400},
		{name: "two keys", changes: []string{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, status: 400},
		{name: "another origin", changes: []string{"Origin: https://evil.com"}, status: 403},
		{name: "subprotocols", changes: []string{"Sec-WebSocket-Protocol: v1, v1"}, status: 400},
		{name: "length", changes: []string{"Content-Length: 5"}, status: 400},
		{name: "chunks", changes: []string{"Transfer-Encoding: chunked"}, status: 400},
		{name: "head", changes: []string{"X: " + strings.Repeat("y", 2000)}, status: 431},
		{name: "Upgrade says no", status: 403, later: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := openingRequest("/rooms/5", c.changes...)
			var texts []string
			for _, a := range []string{direct, address} {
				if a == direct && c.status == 426 && !strings.Contains(request, "websocket") {
					texts = append(texts, "")
					continue // for Accept that is not a handshake
				}
				conn := connect(t, a, request+"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
				resp, text := conn.response(t, c.status)
				if !resp.Close {
					t.Error("no Connection: close")
				}
				if c.status == 426 && (resp.Header.Get("Sec-WebSocket-Version") != "13" ||
					resp.Header.Get("Upgrade") != "websocket") {
					t.Errorf("426 with %v", resp.Header)
				}
				texts = append(texts, text)
				conn.end(t)
			}
			if texts[0] != "" && texts[0] != texts[1] {
				t.Errorf("Accept answers %q, Upgrade %q", texts[0], texts[1])
			}
			err := receive(t, "Upgrade", errs)
			var h *handshake.Error
			if c.later != (err == nil) || err != nil && (!errors.As(err, &h) || h.Status != c.status) {
				t.Errorf("Upgrade returns %v", err)
			}
		})
	}
}

// TestUpgradeWithoutAConnection: there is a clear answer where no socket can be had.
func TestUpgradeWithoutAConnection(t *testing.T) {
	s := &websocket.Server{}
	eng, _ := start(t, s, engine.Config{Loops: 1})
	errs := make(chan error, 1)
	take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { errs <- s.Upgrade(eng, w, r) })
	want := func(t *testing.T, status, got int, closes bool) {
		t.Helper()
		var h *handshake.Error
		if err := receive(t, "Upgrade", errs); !errors.As(err, &h) || h.Status != status || got != status || !closes {
			t.Errorf("status %d, want %d; closes: %v; Upgrade returns %v", got, status, closes, err)
		}
	}
	request := func(url string) *http.Request {
		r := httptest.NewRequest("GET", url, nil)
		for name, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key":     "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(name, v)
		}
		return r
	}

	t.Run("a ResponseWriter that cannot be hijacked", func(t *testing.T) {
		w := httptest.NewRecorder()
		take(w, request("/"))
		want(t, 501, w.Code, w.Header().Get("Connection") == "close")
	})
	t.Run("a line end in a field", func(t *testing.T) {
		w, r := httptest.NewRecorder(), request("/")
		r.Header.Set("X-Real-IP", "1.2.3.4\r\nOrigin: http://a")
		take(w, r)
		want(t, 400, w.Code, true)
	})
	t.Run("TLS", func(t *testing.T) {
		server := httptest.NewTLSServer(take)
		defer server.Close()
		nc, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, openingRequest("/"))
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, 501, resp.StatusCode, resp.Close)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		server := httptest.NewUnstartedServer(take)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		want(t, 505, resp.StatusCode, resp.ProtoMajor == 2)
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		server := httptest.NewServer(take)
		defer server.Close()
		c := connect(t, server.Listener.Addr().String(),
			strings.Replace(openingRequest("/"), "HTTP/1.1", "HTTP/1.0", 1))
		resp, _ := c.response(t, 505)
		want(t, 505, resp.StatusCode, resp.Close)
	})
	t.Run("a connection that is no socket", func(t *testing.T) {
		server := httptest.NewUnstartedServer(take)
		server.Listener = wrappingListener{server.Listener}
		server.Start()
		defer server.Close()
		c := connect(t, server.Listener.Addr().String(), openingRequest("/"))
		c.response(t, 501)
		c.end(t)
		if err := receive(t, "Upgrade", errs); err == nil {
			t.Error("Upgrade returns nil")
		}
	})
	t.Run("an engine that has ended", func(t *testing.T) {
		server := httptest.NewServer(take)
		defer server.Close()
		eng.Close()
		c := connect(t, server.Listener.Addr().String(), openingRequest("/"))
		c.response(t, 503)
		c.end(t)
		if err := receive(t, "Upgrade", errs); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Upgrade returns %v", err)
		}
	})
}

// wrappingListener has connections that are none of package net's.
type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// TestUpgradeToAnEngineThatDoesNotRun: the client waited for the answer, and nobody was told why.
func TestUpgradeToAnEngineThatDoesNotRun(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	refusals := make(chan websocket.Refusal, 1)
	s := &websocket.Server{Engine: e, Refused: func(r websocket.Refusal) { refusals <- r }}
	errs := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		errs <- s.Upgrade(e, w, r)
	}))
	defer server.Close()
	c := connect(t, server.Listener.Addr().String(), openingRequest("/rooms/1?q", "Origin: http://a"))
	if _, body := c.response(t, 503); !strings.Contains(body, "has not started") {
		t.Errorf("body %q", body)
	}
	if err := receive(t, "Upgrade", errs); err == nil || !strings.Contains(err.Error(), "has not started") {
		t.Errorf("error %v", err)
	}
	// The request was read, so it is told whose it was.
	r := receive(t, "refusal", refusals)
	if r.Status != 503 || r.Target != "/rooms/1?q" || r.Origin != "http://a" {
		t.Errorf("refused %+v", r)
	}
}
