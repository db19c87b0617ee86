package websocket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
	"github.com/myriadnet/myriad/wsproto"
)

// secured is a server with TLS, which asks its clients for a certificate, and what they need.
type secured struct {
	layer   *tlslayer.Layer
	eng     *engine.Engine
	ln      *engine.Listener
	address string
	client  *tls.Config
}

// startTLS serves s with TLS on a port of an engine.
func startTLS(t *testing.T, s *websocket.Server, lc engine.ListenConfig, protocols ...string) *secured {
	t.Helper()
	certs := httptest.NewTLSServer(nil)
	certs.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	pair := certs.TLS.Certificates
	l, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: pair, NextProtos: protocols,
		ClientAuth: tls.RequestClientCert}})
	if err != nil {
		t.Fatal(err)
	}
	eng, _ := start(t, s, engine.Config{Loops: 2})
	lc.Layer = l.Server()
	ln, err := lc.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: roots, ServerName: "example.com", Certificates: pair}
	return &secured{layer: l, eng: eng, ln: ln, address: ln.Addr().String(), client: client}
}

// connect is connect over TLS.
func (s *secured) connect(t *testing.T, text string, protocols ...string) *client {
	t.Helper()
	config := s.client.Clone()
	config.NextProtos = protocols
	c, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return &client{c, bufio.NewReader(c)}
}

// about describes the TLS of a request.
func about(r *http.Request) string {
	if r.TLS == nil {
		return r.Proto + " without TLS"
	}
	return fmt.Sprint(r.Proto, " ", r.TLS.ServerName, " ", len(r.TLS.PeerCertificates))
}

// TestRequestHasTLS: http.Request.TLS was nil behind TLS, so that a Handler sent everybody to
// https, and nobody saw a client's certificate. The connection of a page becomes a WebSocket, on
// the loop that it came from, with the frame that came with the request.
func TestRequestHasTLS(t *testing.T) {
	asked := make(chan string, 2)
	s := &websocket.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, about(r)) }),
		Handshake: func(h *websocket.Handshake) {
			asked <- about(h.Request())
			h.Conn.Value = h.Raw.Secure
		},
		Message: echo,
	}
	server := startTLS(t, s, engine.ListenConfig{})
	const want = "HTTP/1.1 example.com 1"
	frame := string(wsproto.AppendMasked(nil, wsproto.Text, 77, []byte("early")))

	c := server.connect(t, openingRequest("/")+frame)
	c.response(t, 101)
	c.expect(t, ws.OpText, "early")
	if got := receive(t, "Handshake", asked); got != want {
		t.Errorf("on the loop: %q, want %q", got, want)
	}

	c = server.connect(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := c.response(t, 200); body != want {
		t.Errorf("in the Handler: %q, want %q", body, want)
	}
	io.WriteString(c, openingRequest("/")+frame)
	c.response(t, 101)
	c.expect(t, ws.OpText, "early")
	c.ask(t, ws.OpText, strings.Repeat("later", 50_000))
	if got := receive(t, "Handshake", asked); got != want {
		t.Errorf("behind a page: %q, want %q", got, want)
	}
}

// TestUpgradeOfTLSOfNetHTTP: a net/http server with TLS could not give its WebSockets to a loop.
func TestUpgradeOfTLSOfNetHTTP(t *testing.T) {
	asked, upgraded := make(chan string, 1), make(chan error, 1)
	s := &websocket.Server{
		Handshake: func(h *websocket.Handshake) { asked <- about(h.Request()) },
		Message:   echo,
		Refused:   func(websocket.Refusal) {},
	}
	server := startTLS(t, s, engine.ListenConfig{})
	ln, err := server.layer.Listen(server.eng, engine.ListenConfig{}, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgraded <- s.Upgrade(server.eng, w, r)
	})}
	go web.Serve(ln)
	defer web.Close()
	server.address = ln.Addr().String()
	frames := wsproto.AppendMasked(nil, wsproto.Text, 77, []byte("early"))
	frames = wsproto.AppendMasked(frames, wsproto.Text, 78, []byte(strings.Repeat("bird", 10_000)))
	for range 3 {
		c := server.connect(t, openingRequest("/", "Origin: https://a")+string(frames))
		c.response(t, 101)
		c.expect(t, ws.OpText, "early")
		c.expect(t, ws.OpText, strings.Repeat("bird", 10_000))
		c.ask(t, ws.OpText, strings.Repeat("later", 50_000))
		if got, want := receive(t, "Handshake", asked), "HTTP/1.1 example.com 1"; got != want {
			t.Errorf("the request has %q, want %q", got, want)
		}
		if err := receive(t, "Upgrade", upgraded); err != nil {
			t.Error(err)
		}
	}
	until(t, "end of the handlers' goroutines", func() bool { return !inNetHTTP() })
	c := server.connect(t, openingRequest("/", "Origin: http://a"))
	c.response(t, 403)
	receive(t, "Upgrade", upgraded)
}

// TestPlainPageIsForeignToTLS: a page that came in plain text may be an attacker's on the way, and
// was taken for the server's own.
func TestPlainPageIsForeignToTLS(t *testing.T) {
	s := &websocket.Server{Handler: http.NotFoundHandler(), Message: echo, Refused: func(websocket.Refusal) {}}
	server := startTLS(t, s, engine.ListenConfig{})
	_, plain := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	page := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, origin string
		before       string // a page on the same connection
		insecure     bool
		status       int
	}{
		{name: "https", origin: "https://a", status: 101},
		{name: "http", origin: "http://a", status: 403},
		{name: "https, behind a page", origin: "https://a", before: page, status: 101},
		{name: "http, behind a page", origin: "http://a", before: page, status: 403},
		{name: "http without TLS", origin: "http://a", insecure: true, status: 101},
		{name: "https, TLS of a proxy", origin: "https://a", insecure: true, status: 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := openingRequest("/", "Origin: "+c.origin)
			if c.insecure {
				connect(t, plain, request).response(t, c.status)
				return
			}
			conn := server.connect(t, c.before)
			if c.before != "" {
				conn.response(t, 404)
			}
			io.WriteString(conn, request)
			conn.response(t, c.status)
		})
	}
}

// TestHTTP2BesideWebSockets: one port with TLS has pages by HTTP/2, and WebSockets by HTTP/1.1. The
// listener and MaxHTTP count connections of HTTP/2 as long as they are open.
func TestHTTP2BesideWebSockets(t *testing.T) {
	s := &websocket.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, about(r), " ", n, " ", err)
		}),
		Message: echo,
		MaxHTTP: 1,
		Hosts:   []string{"a", "127.0.0.1"},
		Refused: func(websocket.Refusal) {},
	}
	server := startTLS(t, s, engine.ListenConfig{MaxConnections: 2}, "h2", "http/1.1")
	transport := &http.Transport{TLSClientConfig: server.client.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport}
	post := func(host string) (status int, body string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "POST", "https://"+server.address+"/",
			strings.NewReader(strings.Repeat("x", 300_000)))
		r.Host = host
		resp, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for range 3 { // on one connection
		if status, body := post("a"); status != 200 || body != "HTTP/2.0 example.com 1 300000 <nil>" {
			t.Errorf("status %d, %q", status, body)
		}
	}
	c := server.connect(t, openingRequest("/"), "http/1.1")
	c.response(t, 101)
	c.ask(t, ws.OpText, "hello")
	get := func() (status int) { // 0: the listener refuses the connection
		config := server.client.Clone()
		config.NextProtos = []string{"http/1.1"}
		c, err := tls.Dial("tcp", server.address, config)
		if err != nil {
			return 0
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // an error shows below
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0
		}
		return resp.StatusCode
	}
	if status := get(); status != 0 {
		t.Errorf("a third connection: status %d", status)
	}
	c.Close()
	until(t, "refusal of another connection by MaxHTTP", func() bool { return get() == 503 })
	transport.CloseIdleConnections()
	until(t, "end of the first connection", func() bool { return get() == 200 })
	until(t, "another connection of HTTP/2", func() bool {
		resp, err := web.Get("https://" + server.address + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 200 && resp.ProtoMajor == 2
	})
	if status, body := post("evil.example"); status != 421 {
		t.Errorf("a foreign host: status %d, %q", status, body)
	}
}

// TestHTTP2WithoutHandler: a client that has agreed on HTTP/2 is not left waiting where nobody
// speaks it.
func TestHTTP2WithoutHandler(t *testing.T) {
	refused := make(chan error, 1)
	s := &websocket.Server{Message: echo, Refused: func(r websocket.Refusal) { refused <- r.Reason }}
	server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
	c := server.connect(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2")
	c.response(t, 505)
	c.end(t)
	if err := receive(t, "Refused", refused); err == nil || !strings.Contains(err.Error(), "needs a Handler") {
		t.Errorf("refused because of %v", err)
	}
}

// TestHTTP2EndsWithTheEngine: idle connections of HTTP/2 end when the engine shuts down, and a
// request that goes on is cut.
func TestHTTP2EndsWithTheEngine(t *testing.T) {
	began, ended := make(chan bool, 1), make(chan error, 1)
	s := &websocket.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})}
	server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
	transport := &http.Transport{TLSClientConfig: server.client.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	answered := make(chan error, 1)
	go func() {
		resp, err := (&http.Client{Transport: transport}).Get("https://" + server.address + "/")
		if err == nil {
			resp.Body.Close()
			err = errors.New(resp.Status)
		}
		answered <- err
	}()
	receive(t, "request", began)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped <- server.eng.Shutdown(ctx)
	}()
	if err := receive(t, "end of the request", ended); err == nil {
		t.Error("no error")
	}
	receive(t, "answer", answered)
	if err := receive(t, "Shutdown", stopped); err != nil {
		t.Error(err)
	}
}

// TestSlowHTTPOverTLS: a client that takes a long response slowly is not cut, nor is one that sends
// a request whose content nobody reads.
func TestSlowHTTPOverTLS(t *testing.T) {
	const timeout, size = 500 * time.Millisecond, 6 << 20
	s := &websocket.Server{HTTPTimeout: timeout, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				http.Error(w, "too much", http.StatusRequestEntityTooLarge)
				return
			}
			w.Write(make([]byte, size)) // an error shows below
		})}
	server := startTLS(t, s, engine.ListenConfig{})
	c := server.connect(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.Conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(32 << 10)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, begin := 0, time.Now()
	tick := time.NewTicker(timeout / 20)
	defer tick.Stop()
	for b := make([]byte, 20_000); err == nil; {
		var n int
		n, err = io.ReadFull(resp.Body, b)
		for got += n; isAhead(got, len(b), begin, timeout); {
			<-tick.C
		}
	}
	if got != size {
		t.Errorf("%d of %d bytes within %v, %v", got, size, time.Since(begin), err)
	}

	c = server.connect(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
	for range 4 { // the server may stop taking it
		if _, err := c.Write(make([]byte, 1_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	c.response(t, 413)
	c.end(t)
}
