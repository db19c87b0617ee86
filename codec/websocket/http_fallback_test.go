package websocket_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// site is a Handler with what the tests ask for, which counts the requests.
type site struct {
	http.ServeMux
	requests atomic.Int32
	evil     atomic.Bool // it was asked for what nobody should get to
}

func newSite() *site {
	s := new(site)
	s.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	s.HandleFunc("GET /big", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) })
	s.HandleFunc("/evil", func(http.ResponseWriter, *http.Request) { s.evil.Store(true) })
	s.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		w.Header().Set("X-Trailer", r.Trailer.Get("X-Sum"))
		w.Write(b)
	})
	// answers before it has all of the request
	s.HandleFunc("POST /early", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "early")
		http.NewResponseController(w).Flush()
	})
	s.HandleFunc("GET /hijack", func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, "you said "+line)
	})
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.ServeMux.ServeHTTP(w, r)
}

const (
	get  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
)

func post(content string, fields ...string) string {
	return "POST /echo HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n") + content
}

// TestHTTPOnTheSamePort: net/http's client as the judge, with keep-alive.
func TestHTTPOnTheSamePort(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo, Handler: newSite()}, engine.Config{Loops: 1})
	for _, c := range []struct {
		method, path string
		body         io.Reader
		status       int
		length       int
	}{
		{method: "GET", path: "/", status: 200, length: 5},
		{method: "GET", path: "/?x=y", status: 200, length: 5},
		{method: "HEAD", path: "/", status: 200},
		{method: "OPTIONS", path: "/", status: 405, length: 19},
		{method: "GET", path: "/big", status: 200, length: 1 << 20},
		{method: "GET", path: "/other", status: 404, length: 19},
		{method: "POST", path: "/echo", body: strings.NewReader("data"), status: 200, length: 4},
		{method: "POST", path: "/echo", body: strings.NewReader(strings.Repeat("x", 1<<20)), status: 200,
			length: 1 << 20},
		{method: "POST", path: "/echo", body: io.MultiReader(strings.NewReader("in "), strings.NewReader("chunks")),
			status: 200, length: 9},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			req, _ := http.NewRequest(c.method, "http://"+address+c.path, c.body)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || len(b) != c.length || resp.Close {
				t.Fatalf("status %d, %d bytes, close %v, %v; want %d and %d", resp.StatusCode, len(b), resp.Close, err,
					c.status, c.length)
			}
		})
	}
	dial(t, address).ask(t, ws.OpText, "and a WebSocket")
}

// TestPlainRequestsGet426 without a Handler, and with one where only WebSockets are accepted.
func TestPlainRequestsGet426(t *testing.T) {
	eng, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	plainRequestsGet426(t, address)

	site := newSite()
	both := &websocket.Server{Handler: site, Message: echo}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", both.AcceptWebSocket)
	if err != nil {
		t.Fatal(err)
	}
	plainRequestsGet426(t, ln.String())
	if n := site.requests.Load(); n > 0 {
		t.Errorf("the Handler got %d requests", n)
	}
	dial(t, ln.String()).ask(t, ws.OpText, "and a WebSocket")
	if ln, err = eng.Listen("tcp", "127.0.0.1:0", both.Accept); err != nil { // the same Server
		t.Fatal(err)
	}
	if _, text := connect(t, ln.String(), get).response(t, 200); text != "hello" {
		t.Errorf("%q", text)
	}
}

func plainRequestsGet426(t *testing.T, address string) {
	t.Helper()
	until(t, "end of what earlier tests left in net/http", func() bool { return !inNetHTTP() })
	for _, request := range []string{get, post("12345", "Content-Length: 5"), "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c := connect(t, address, request+evil)
		resp, text := c.response(t, 426)
		if resp.Header.Get("Sec-WebSocket-Version") != "13" || !resp.Close || text == "" || inNetHTTP() {
			t.Errorf("%v, %q", resp, text)
		}
		c.end(t)
	}
	c := connect(t, address, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(c.r); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 426 ")) ||
		!bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		t.Errorf("%q, %v", b, err)
	}
}

// TestHTTPPipelining: requests that come together, or in any pieces, are answered in order.
func TestHTTPPipelining(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite()}, engine.Config{Loops: 1})
	text := get + post("hello", "Content-Length: 5") + post("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
		"Transfer-Encoding: chunked", "Trailer: X-Sum") +
		"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	answers := func(t *testing.T, c *client) {
		t.Helper()
		for _, want := range []struct {
			status  int
			text    string
			trailer string
		}{{200, "hello", ""}, {200, "hello", ""}, {200, "abc", "1"}, {404, "404 page not found\n", ""}} {
			resp, text := c.response(t, want.status)
			if text != want.text || resp.Header.Get("X-Trailer") != want.trailer {
				t.Errorf("%q, trailer %q", text, resp.Header.Get("X-Trailer"))
			}
		}
		c.end(t)
	}
	answers(t, connect(t, address, text))
	for i := 1; i < len(text); i++ {
		c := connect(t, address, text[:i])
		io.WriteString(c, text[i:])
		answers(t, c)
	}
	c := connect(t, address, "")
	for i := range text {
		io.WriteString(c, text[i:i+1])
	}
	answers(t, c)
}

// TestSmugglersAreStopped: what breaks a rule is answered with its status behind the answers to the
// requests before, as the last one; nothing behind it gets to the Handler. It is the same for a
// connection's first request, which the loop refuses. wsproto's TestRequestSmuggling has the whole
// list.
func TestSmugglersAreStopped(t *testing.T) {
	site := newSite()
	_, address := start(t, &websocket.Server{Handler: site}, engine.Config{Loops: 1})
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, text string
		status     int
	}{
		{"CL.TE", post("0\r\n\r\n", "Content-Length: 6", "Transfer-Encoding: chunked"), 400},
		{"TE.CL", post("8\r\nSMUGGLED\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 3"), 400},
		{"two lengths", post("hello", "Content-Length: 5", "Content-Length: 5"), 400},
		{"unknown coding", post("", "Transfer-Encoding: gzip, chunked"), 501},
		{"space before a colon", post("", "Transfer-Encoding : chunked"), 400},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"folding", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
		{"HTTP/1.0 in chunks", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"the target that stands for a broken request", "GET * HTTP/1.1\r\nHost: invalid\r\n\r\n", 400},
		{"another method with *", "HEAD * HTTP/1.0\r\n\r\n", 400},
		{"head over the limit", "GET / HTTP/1.1\r\nHost: a\r\nX: " + big, 431},
		{"no HTTP", big, 414},
		{"request line over the limit", "GET /" + big, 414},
		{"lines", strings.Repeat("\r\n", 10), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			for good := range 3 {
				site.requests.Store(0)
				conn := connect(t, address, strings.Repeat(get, good)+c.text+evil+big)
				for range good {
					conn.response(t, 200)
				}
				resp, text := conn.response(t, c.status)
				if !resp.Close || !strings.Contains(text, "RFC") {
					t.Errorf("after %d: close is %v, %q", good, resp.Close, text)
				}
				conn.end(t)
				if n := site.requests.Load(); int(n) != good || site.evil.Load() {
					t.Errorf("after %d: the Handler got %d requests; evil: %v", good, n, site.evil.Load())
				}
			}
		})
	}
}

// TestRequestBehindAHandshakeOfNobody is refused, also if the Handler that got the handshake keeps
// the connection: nobody has checked where it ends.
func TestRequestBehindAHandshakeOfNobody(t *testing.T) {
	site := newSite()
	keeps := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "keep-alive") // as handlers of server-sent events do
		site.ServeHTTP(w, r)
	})
	mux := &websocket.Mux{Servers: map[string]*websocket.Server{"/ws": {}}, Handler: keeps}
	eng := running(t, engine.Config{Loops: 1})
	ln, err := eng.Listen("tcp", "127.0.0.1:0", mux.Accept)
	if err != nil {
		t.Fatal(err)
	}
	handshake := "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	conn := connect(t, ln.String(), handshake+evil)
	conn.response(t, 200)
	if resp, text := conn.response(t, 400); !resp.Close || !strings.Contains(text, "RFC 9112") {
		t.Errorf("close is %v, %q", resp.Close, text)
	}
	conn.end(t)
	if n := site.requests.Load(); n != 1 || site.evil.Load() {
		t.Errorf("the Handler got %d requests; evil: %v", n, site.evil.Load())
	}
}

// TestBodiesThatBreakARule: the Handler sees it as an error when it reads; nothing behind it is a
// request.
func TestBodiesThatBreakARule(t *testing.T) {
	site := newSite()
	_, address := start(t, &websocket.Server{Handler: site}, engine.Config{Loops: 1})
	for _, c := range []struct {
		name, content, says string
	}{
		{"chunk size", "0x3\r\nabc\r\n0\r\n\r\n", "RFC 9112 section 7.1"},
		{"bare LF behind the size", "3\nabc\r\n0\r\n\r\n", "RFC 9112 section 2.2"},
		{"no line end behind the chunk", "3\r\nabc0\r\n\r\n", "RFC 9112 section 7.1"},
		// net/http's own words
		{"trailer", "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n", "trailer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for path, want := range map[string]struct {
				status int
				text   string
			}{"/echo": {400, c.says}, "/other": {404, ""}, "/early": {200, "early"}} {
				request := strings.Replace(post(c.content, "Transfer-Encoding: chunked"), "/echo", path, 1)
				conn := connect(t, address, get+request+evil)
				conn.response(t, 200)
				if _, text := conn.response(t, want.status); !strings.Contains(text, want.text) {
					t.Errorf("%s: %q", path, text)
				}
				conn.end(t)
			}
			if site.evil.Load() {
				t.Error("the Handler got what was behind")
			}
		})
	}
}
