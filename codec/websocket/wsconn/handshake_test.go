package wsconn_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// handler upgrades every request and echoes.
func handler(t testing.TB, config *wsconn.Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, config)
		if err != nil {
			return
		}
		echo(deadline(t), c)
	})
}

func wsURL(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") }

func TestDial(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"ws":  httptest.NewServer,
		"wss": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			limits := wsconn.Limits{MaxMessage: 4 << 20}
			s := start(handler(t, &wsconn.Config{Limits: limits, Subprotocols: []string{"b", "a"},
				Compression: &wsconn.Compression{}}))
			defer s.Close()
			config := &wsconn.Config{Limits: limits, Subprotocols: []string{"a", "b"},
				Compression: &wsconn.Compression{}}
			if name == "wss" {
				config.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
			}
			c, err := wsconn.Dial(deadline(t), wsURL(s)+"/path?query", config)
			if err != nil {
				t.Fatal(err)
			}
			if c.Subprotocol() != "b" {
				t.Errorf("subprotocol %q", c.Subprotocol())
			}
			converse(t, c)
			if err := c.Close(1000, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDialFails in every way that a URL, the network and a server have.
func TestDialFails(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	defer plain.Close()
	secure := httptest.NewTLSServer(handler(t, nil))
	defer secure.Close()
	refused := errors.New("no route")
	for _, test := range []struct {
		name, url string
		config    *wsconn.Config
		status    int
		want      string
	}{
		{name: "no URL", url: "http://a/", want: "not of the form"},
		{name: "not a WebSocket", url: wsURL(plain), status: 200, want: "200 instead of 101"},
		{name: "redirection", url: wsURL(plain) + "/moved", status: 302, want: "/there"},
		{name: "unknown authority", url: wsURL(secure), want: "TLS handshake"},
		{name: "the dialer's error", url: "ws://a/", want: refused.Error(), config: &wsconn.Config{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}},
		{name: "split request", url: wsURL(plain), want: "control character", config: &wsconn.Config{
			Header: http.Header{"X": {"a\r\nY: b"}}}},
		{name: "field of ours", url: wsURL(plain), want: "not the application's", config: &wsconn.Config{
			Header: http.Header{"Sec-Websocket-Protocol": {"a"}}}},
	} {
		_, err := wsconn.Dial(deadline(t), test.url, test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		var answer *handshake.Error
		if errors.As(err, &answer) != (test.status != 0) || answer != nil && answer.Status != test.status {
			t.Errorf("%s: %v, want status %d", test.name, err, test.status)
		}
	}
}

// TestHandshakeTimeout: nobody waits for ever for a peer's part of the opening handshake, whatever
// the context.
func TestHandshakeTimeout(t *testing.T) {
	type open func(context.Context, net.Conn, *wsconn.Config) (*wsconn.Conn, error)
	client := func(ctx context.Context, nc net.Conn, c *wsconn.Config) (*wsconn.Conn, error) {
		return wsconn.Client(ctx, nc, "ws://a/", c)
	}
	for _, test := range []struct {
		name  string
		open  open
		sent  string
		limit time.Duration
		want  time.Duration
	}{
		{name: "client", open: client, want: 10 * time.Second},
		{name: "client with half an answer", open: client, sent: "HTTP/1.1 101 ", limit: time.Minute,
			want: time.Minute},
		{name: "server", open: wsconn.Server, want: 10 * time.Second},
		{name: "server with half a request", open: wsconn.Server, sent: "GET / HTTP/1.1\r\nHost: a\r\n",
			want: 10 * time.Second},
		{name: "server with a long one", open: wsconn.Server, sent: "GET /" + strings.Repeat("x", 5000),
			want: 10 * time.Second},
		{name: "server after a refusal", open: wsconn.Server, sent: "GET / HTTP/1.1\r\n\r\n", limit: time.Second,
			want: time.Second},
		{name: "the context", open: client, limit: -1, want: time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := wstest.NetPipe()
			io.WriteString(b, test.sent)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			before := time.Now()
			_, err := test.open(ctx, a, &wsconn.Config{Limits: wsconn.Limits{HandshakeTimeout: test.limit}})
			if took := time.Since(before); took != test.want {
				t.Errorf("%s: %v after %v, want %v", test.name, err, took, test.want)
			}
			var refused *handshake.Error
			if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &refused) {
				t.Errorf("%s: %v", test.name, err)
			}
			if _, err := a.Write(nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: the connection is not closed: %v", test.name, err)
			}
		})
	}
}

// request is an opening handshake with these lines in the place of, or besides, those that it has
// to have.
func request(line string, fields ...string) string {
	head := "GET / HTTP/1.1\r\n"
	if strings.HasPrefix(line, "GET") || strings.HasPrefix(line, "POST") {
		head, line = line+"\r\n", ""
	}
	for _, f := range append([]string{"Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, fields...) {
		name, _, _ := strings.Cut(f, ":")
		if line != "" && strings.HasPrefix(line, name+":") {
			f = line
		}
		head += f + "\r\n"
	}
	return head + "\r\n"
}

// TestRefusals: what is wrong with a request is answered with the same status by Server and by
// Upgrade.
func TestRefusals(t *testing.T) {
	config := &wsconn.Config{
		Limits:  wsconn.Limits{MaxHeader: 2000, MaxHeaderFields: 20},
		Origins: []string{"https://good.example"},
	}
	errs := make(chan error, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := wsconn.Upgrade(w, r, config)
		errs <- err
	}))
	defer web.Close()
	for _, test := range []struct {
		name, request string
		status        int
		ours          bool // net/http does not let it come to us
	}{
		{name: "no upgrade", request: request("Upgrade: h2c"), status: 426},
		{name: "no connection", request: request("Connection: close"), status: 400},
		{name: "method", request: request("POST / HTTP/1.1"), status: 405},
		{name: "version", request: request("Sec-WebSocket-Version: 8"), status: 426},
		{name: "key", request: request("Sec-WebSocket-Key: abc"), status: 400},
		{name: "two keys", request: request("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), status: 400},
		{name: "content", request: request("", "Content-Length: 5"), status: 400, ours: true},
		{name: "origin", request: request("", "Origin: https://bad.example"), status: 403},
		{name: "header too long", request: request("", "X: "+strings.Repeat("x", 2000)), status: 431},
		{name: "too many fields", status: 431,
			request: request("", strings.Split(strings.Repeat("X: y,", 20)+"X: y", ",")...)},
		{name: "HTTP/1.0", request: request("GET / HTTP/1.0"), status: 505},
		{name: "garbage", request: "\x16\x03\x01\r\n\r\n", status: 400, ours: true},
	} {
		for _, by := range []string{"Server", "Upgrade"} {
			if test.ours && by == "Upgrade" {
				continue
			}
			t.Run(test.name+" by "+by, func(t *testing.T) {
				a, b := wstest.NetPipe()
				if by == "Server" {
					go func() {
						_, err := wsconn.Server(deadline(t), b, config)
						errs <- err
					}()
				} else {
					var err error
					if a, err = net.Dial("tcp", web.Listener.Addr().String()); err != nil {
						t.Fatal(err)
					}
				}
				defer a.Close()
				io.WriteString(a, test.request)
				r, err := http.ReadResponse(bufio.NewReader(a), nil)
				if err != nil || r.StatusCode != test.status || !r.Close {
					t.Fatalf("%v, %v, want status %d and Connection: close", r, err, test.status)
				}
				if test.status == 426 && r.Header.Get("Sec-WebSocket-Version") != "13" {
					t.Error("the version is not told")
				}
				r.Body.Close()
				a.Close()
				var refused *handshake.Error
				if err := <-errs; !errors.As(err, &refused) || refused.Status != test.status {
					t.Errorf("the error is %v", err)
				}
			})
		}
	}
}
