package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

const (
	doCloseWith = "do: close with " // a code
	doTellPeer  = "do: tell peer"   // its address
	doName      = "do: name "       // a name for the connection, which is echoed
)

const (
	helloText = "hello\n"
	bigSize   = 1 << 20
	flowLines = 50
)

// site is a server of ours with pages and a WebSocket on one port.
type site struct {
	t        *testing.T
	pages    http.ServeMux
	server   *websocket.Server
	address  string
	layer    *tlslayer.Layer // nil: without TLS
	proxy    *engine.ProxyConfig
	accepted atomic.Int64 // connections
	requests atomic.Int64 // to the Handler
	options  atomic.Int64 // OPTIONS in HTTP/1.0, as HAProxy checks
	refused  atomic.Int64 // handshakes
	closed   chan ended   // WebSockets with a name
	stop     func()       // ends it in order, once

	mu     sync.Mutex
	states []tls.ConnectionState // see noted
}

type ended struct {
	name string
	err  error
}

// newSite starts a site on a free port. A WebSocket echoes, and does what the texts say.
func newSite(t *testing.T, compression *websocket.Compression) *site {
	t.Helper()
	s := makeSite(t, compression)
	s.start("tcp", "127.0.0.1:0")
	return s
}

// makeSite makes a site that is not started.
func makeSite(t *testing.T, compression *websocket.Compression) *site {
	s := &site{t: t, closed: make(chan ended, 100)}
	s.server = &websocket.Server{
		Message:      answer,
		Pong:         func(c *websocket.Conn, _ []byte) { c.SendText(ponged) },
		Close:        s.ended,
		Handler:      http.HandlerFunc(s.handle),
		Subprotocols: []string{subprotocol},
		Compression:  compression,
		Limits:       websocket.Limits{MaxMessage: 16 << 20},
		Refused:      func(websocket.Refusal) { s.refused.Add(1) },
	}
	s.addPages()
	return s
}

// start runs it on an engine of its own.
func (s *site) start(network, address string) {
	t := s.t
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 1, MaxOutbound: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	config := engine.ListenConfig{Proxy: s.proxy}
	if s.layer != nil {
		config.Layer = s.layer.Server()
	}
	ln, err := config.Listen(e, network, address, func(c *engine.Conn) engine.Protocol {
		s.accepted.Add(1)
		s.note(c)
		return s.server.Accept(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
}

func (s *site) ended(c *websocket.Conn, err error) {
	if name, ok := c.Value.(string); ok {
		s.closed <- ended{name, err}
	}
}

func (s *site) handle(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	if r.Method == "OPTIONS" && r.Proto == "HTTP/1.0" {
		s.options.Add(1)
	}
	w.Header().Set("X-Peer", r.RemoteAddr)
	w.Header().Set("X-Proto", r.Proto)
	s.pages.ServeHTTP(w, r)
}

func (s *site) addPages() {
	s.pages.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, helloText) })
	s.pages.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s.pages.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(bigSize)) // else HTTP/1.0 has no keep-alive
		w.Write(make([]byte, bigSize))
	})
	// of unknown length: in chunks, or in HTTP/1.0 to the end of the connection
	s.pages.HandleFunc("/flow", func(w http.ResponseWriter, _ *http.Request) {
		for i := range flowLines {
			fmt.Fprintln(w, "line", i)
			http.NewResponseController(w).Flush()
		}
	})
	s.pages.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
	})
}

// answer is a Message of a Server.
func answer(c *websocket.Conn, op websocket.Opcode, data []byte) {
	text := ""
	if len(data) < 100 {
		text = string(data)
	}
	switch code, isClose := strings.CutPrefix(text, doCloseWith); {
	case text == doPing:
		c.Ping(nil)
	case text == doSplit:
		for rest := []byte(fragments); len(rest) > 0; {
			n := min(len(rest), 10_001)
			c.SendPiece(op, rest[:n], n == len(rest))
			rest = rest[n:]
		}
	case text == doClose:
		c.Close(4001, "bye")
	case text == doTellPeer:
		c.SendText(c.RemoteAddr().String())
	case strings.HasPrefix(text, doName):
		c.Value = text
		c.SendText(text)
	case isClose:
		code, _ := strconv.Atoi(code)
		c.Close(websocket.CloseCode(code), "as told")
	default:
		c.Send(op, data)
	}
}

// checkPages asks for every page as a browser does, with keep-alive.
func checkPages(t *testing.T, base string) {
	t.Helper()
	checkPagesBehind(t, base, 0)
}

// checkPagesBehind is checkPages behind a proxy that may forget the end of so many responses.
func checkPagesBehind(t *testing.T, base string, stalls int) {
	t.Helper()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	big, zeros := bytes.Repeat([]byte("0123456789abcdef"), 1<<16), make([]byte, bigSize)
	var flow bytes.Buffer
	for i := range flowLines {
		fmt.Fprintln(&flow, "line", i)
	}
	for _, e := range []exchange{
		{method: "GET", path: "/", status: 200, want: []byte(helloText)},
		{method: "HEAD", path: "/", status: 200},
		{method: "GET", path: "/health", status: 204},
		{method: "GET", path: "/big", status: 200, want: zeros},
		{method: "GET", path: "/flow", status: 200, want: flow.Bytes()},
		{method: "POST", path: "/echo", body: big, status: 200, want: big},
		{method: "POST", path: "/echo", body: big, chunked: true, status: 200, want: big},
		{method: "GET", path: "/none", status: 404, want: []byte("404 page not found\n")},
		{method: "GET", path: "/?a=b%20c", status: 200, want: []byte(helloText)},
	} {
		err := e.check(client, base)
		for ; errors.Is(err, context.DeadlineExceeded) && stalls > 0; stalls-- {
			t.Log("asked again: ", err)
			err = e.check(client, base)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// exchange is a request and the response to it.
type exchange struct {
	method, path string
	body         []byte
	chunked      bool
	status       int
	want         []byte
}

func (e *exchange) check(client *http.Client, base string) error {
	var body io.Reader = bytes.NewReader(e.body)
	if e.chunked {
		body = io.MultiReader(body) // whose length nobody knows
	}
	r, err := http.NewRequest(e.method, base+e.path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", e.method, e.path, err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return fmt.Errorf("%s %s: status %d, %d of %d bytes: %w", e.method, e.path, resp.StatusCode,
			len(got), len(e.want), err)
	}
	if resp.StatusCode != e.status || !bytes.Equal(got, e.want) {
		return fmt.Errorf("%s %s: status %d, %d bytes; want %d and %d bytes", e.method, e.path,
			resp.StatusCode, len(got), e.status, len(e.want))
	}
	return nil
}

// peerOf asks for a page and returns the address that it was asked from.
func peerOf(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("%s: status %d", url, resp.StatusCode)
	}
	return resp.Header.Get("X-Peer")
}
