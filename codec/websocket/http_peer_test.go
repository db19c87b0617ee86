package websocket_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// wrapped is what middleware makes of a ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type userKey struct{}

// middleware is what stands in front of the handler in the tests: it wraps, adds a value, and sets
// a cookie.
func middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "7"})
		w.Header().Set("Content-Type", "text/html") // not of the 101
		r = r.WithContext(context.WithValue(r.Context(), userKey{}, "Ada"))
		next.ServeHTTP(wrapped{w}, r)
	})
}

// taking is a server of net/http that calls Upgrade for /rooms/{room}, and its address. What
// Upgrade has returned goes to errs.
func taking(t *testing.T, s *websocket.Server, e *engine.Engine) (address string, errs chan error) {
	t.Helper()
	errs = make(chan error, 100)
	mux := http.NewServeMux()
	mux.HandleFunc("/rooms/{room}", func(w http.ResponseWriter, r *http.Request) { errs <- s.Upgrade(e, w, r) })
	server := httptest.NewServer(middleware(mux))
	t.Cleanup(server.Close)
	receive(t, "Run", e.Started())
	return server.Listener.Addr().String(), errs
}

// openingRequest is an opening handshake with further fields; a field of the same name takes
// another's place, "-Name" removes it.
func openingRequest(target string, changes ...string) string {
	fields := []string{"Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range changes {
		name, _, _ := strings.Cut(strings.TrimPrefix(c, "-"), ":")
		kept := fields[:0]
		for _, f := range fields {
			if !strings.HasPrefix(f, name+":") {
				kept = append(kept, f)
			}
		}
		if fields = kept; c[0] != '-' {
			fields = append(fields, c)
		}
	}
	return "GET " + target + " HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

// connect sends text and returns the connection.
func connect(t testing.TB, address, text string) *client {
	t.Helper()
	return connectFrom(t, "127.0.0.1", address, text)
}

func connectFrom(t testing.TB, from, address, text string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", address)
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

// response reads one, with its body.
func (c *client) response(t testing.TB, status int) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	if status != 101 {
		if b, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	if resp.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", resp.StatusCode, status, b)
	}
	return resp, string(b)
}

// end wants the peer's end, and nothing before it.
func (c *client) end(t testing.TB) {
	t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v; want the end", b, err)
	}
}

// inNetHTTP reports whether a goroutine of net/http serves a connection.
func inNetHTTP() bool {
	b := make([]byte, 1<<20)
	return strings.Contains(string(b[:runtime.Stack(b, true)]), "net/http.(*conn).serve")
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}
