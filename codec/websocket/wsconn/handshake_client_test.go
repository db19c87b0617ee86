package wsconn_test

import (
	"bufio"
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

// TestRefusedByHTTP10AndOthers: the error has the status, the fields and the content, at once or
// after a second, and never the password of the URL.
func TestRefusedByHTTP10AndOthers(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		header, body string
		stays        bool // the server does not close the connection
		wait         time.Duration
	}{
		{name: "HTTP/1.0", answer: "HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\n\r\nlater", status: 503,
			header: "Retry-After", body: "later"},
		{name: "no space", answer: "HTTP/1.1 403\r\n\r\n", status: 403},
		{name: "early hints", answer: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 U\r\nWWW-Authenticate: Basic\r\n" +
			"Content-Length: 3\r\n\r\nwho", status: 401, header: "Www-Authenticate", body: "who", stays: true},
		{name: "no end", answer: "HTTP/1.1 403 F\r\n\r\nno", status: 403, body: "no", stays: true, wait: time.Second},
		{name: "much", answer: "HTTP/1.1 403 F\r\n\r\n" + strings.Repeat("x", 10_000), status: 403,
			body: strings.Repeat("x", 4096), stays: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := wstest.NetPipe()
			go func() {
				http.ReadRequest(bufio.NewReader(b))
				io.WriteString(b, test.answer)
				if !test.stays {
					b.Close()
				}
			}()
			before := time.Now()
			_, err := wsconn.Client(t.Context(), a, "ws://u:secret@a/", nil)
			var e *handshake.Error
			if !errors.As(err, &e) || e.Status != test.status || string(e.Body) != test.body ||
				test.header != "" && e.Header[test.header] == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, %+v", test.name, err, e)
			}
			if took := time.Since(before); took != test.wait {
				t.Errorf("%s: after %v, want %v", test.name, took, test.wait)
			}
			b.Close()
		})
	}
}

// TestDialHostAndUser: the Host field can be set, and the URL's user is sent.
func TestDialHostAndUser(t *testing.T) {
	requests := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r }))
	defer s.Close()
	address := s.Listener.Addr().(*net.TCPAddr).String()
	wsconn.Dial(deadline(t), "ws://u:secret@"+address+"/", &wsconn.Config{Host: "other.example"})
	r := <-requests
	if user, password, _ := r.BasicAuth(); r.Host != "other.example" || user != "u" || password != "secret" {
		t.Errorf("host %q, user %q:%q", r.Host, user, password)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	_, err := wsconn.Dial(deadline(t), "ws://u:secret@"+closed.Listener.Addr().String()+"/", nil)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// TestWindowsOfWhatIsDialed: connections that are opened at the same time do not offer more windows
// than MaxWindows together, and give them back if they are refused.
func TestWindowsOfWhatIsDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := &wsconn.Config{
			Compression: &wsconn.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 2 << 15},
		}
		for round := range 2 {
			with := 0
			var servers []net.Conn
			for range 4 {
				a, b := wstest.NetPipe()
				servers = append(servers, b)
				go wsconn.Client(t.Context(), a, "ws://a/", config)
				r, err := http.ReadRequest(bufio.NewReader(b))
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "no_context_takeover") {
					with++
				}
			}
			if with != 1 {
				t.Errorf("round %d: %d connections offer context takeover", round, with)
			}
			for _, b := range servers {
				b.Close()
			}
			synctest.Wait()
		}
	})
}
