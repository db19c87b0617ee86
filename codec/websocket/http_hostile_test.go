package websocket_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// targets are the requests that a Handler has got.
type targets struct {
	mu  sync.Mutex
	got []string
}

func (s *targets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.got = append(s.got, r.RequestURI)
	s.mu.Unlock()
	if r.URL.Query().Has("duplex") {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(io.Discard, r.Body)
	}
	io.WriteString(w, "done\n")
}

func (s *targets) take() (all string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = strings.Join(s.got, " ")
	s.got = nil
	return all
}

// TestNothingIsServedBehindAnUpgradeOfAnyTarget: Framing looks at nothing behind an Upgrade field,
// and "OPTIONS *" with one was answered with keep-alive. What followed reached the Handler.
func TestNothingIsServedBehindAnUpgradeOfAnyTarget(t *testing.T) {
	site := new(targets)
	server := startAccept(t, (&websocket.Server{Handler: site}).Accept)
	mux := startAccept(t, (&websocket.Mux{Handler: site}).Accept)
	const first, host = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n", " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
	for _, test := range []struct{ name, address, before, want string }{
		{name: "OPTIONS to a Server", address: server, before: first + "OPTIONS *" + host, want: "/first"},
		{name: "OPTIONS to a Mux", address: mux, before: "OPTIONS *" + host},
		{name: "POST to a Server", address: server, before: first + "POST /x" + host, want: "/first"},
		// it has no Server there
		{name: "POST to a Mux", address: mux, before: "POST /x" + host, want: "/x"},
	} {
		for _, bad := range []string{
			"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"GET /bad HTTP/1.1\nHost: a\n\n",
			"GET /bad HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 100\r\n\r\n",
			"GET http://b/bad HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		} {
			c := connect(t, test.address, test.before+bad+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			answers, err := io.ReadAll(c.r)
			if err != nil || !strings.Contains(string(answers), "Connection: close") {
				t.Errorf("%s: %v behind %q", test.name, err, answers)
			}
			if got := site.take(); got != test.want {
				t.Errorf("%s: the Handler got %q, want %q", test.name, got, test.want)
			}
		}
	}
}

// TestContentThatWasGivenUpIsNoRequest: net/http went on reading behind a timeout, in the middle of
// the content.
func TestContentThatWasGivenUpIsNoRequest(t *testing.T) {
	site := new(targets)
	_, address := start(t, &websocket.Server{Handler: site, HTTPTimeout: 100 * time.Millisecond},
		engine.Config{Loops: 1})
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, head := range []string{
		fmt.Sprintf("POST /?duplex HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc", 3+len(smuggled)),
		fmt.Sprintf("POST /?duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nabc",
			3+len(smuggled)),
	} {
		c := connect(t, address, head)
		c.response(t, 200) // after the timeout
		io.WriteString(c, smuggled)
		if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
			t.Errorf("another answer: %q", rest)
		}
		if got := site.take(); got != "/?duplex" {
			t.Errorf("the Handler got %q", got)
		}
	}
	// The head of a pipelined request is read ahead.
	const head = "POST /?duplex HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
	c := connect(t, address, head)
	for range 20 {
		io.WriteString(c, "abc"+head)
		c.response(t, 200)
	}
}

// TestContentThatHasArrivedIsRead, however long the Handler took before it asked.
func TestContentThatHasArrivedIsRead(t *testing.T) {
	const timeout = 100 * time.Millisecond
	read, ended := make(chan int, 2), make(chan error, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read <- 0
		_, err := io.ReadFull(r.Body, make([]byte, 100))
		read <- 100
		if err == nil {
			time.Sleep(2 * timeout) // the Handler's own work
			_, err = io.ReadAll(r.Body)
		}
		ended <- err
	})
	_, address := start(t, &websocket.Server{Handler: handler, HTTPTimeout: timeout}, engine.Config{Loops: 1})
	c := connect(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n")
	for _, n := range []int{100, 2900} {
		receive(t, "read", read)
		io.WriteString(c, strings.Repeat("x", n))
	}
	if err := receive(t, "end", ended); err != nil {
		t.Error(err)
	}
}

// TestConnectionsThatEndCountForMaxHTTP until the peer has taken the response.
func TestConnectionsThatEndCountForMaxHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.Write(make([]byte, 1<<20))
	})
	s := &websocket.Server{Handler: handler, MaxHTTP: 1}
	_, address := start(t, s, engine.Config{Loops: 1, Linger: patience})
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	io.WriteString(slow, request)
	if _, err := io.ReadFull(slow, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	for range 20 { // the Handler has ended long before the last of them
		connect(t, address, request).response(t, 503)
	}
	io.Copy(io.Discard, slow)
	slow.Close()
	until(t, "place for another", func() bool {
		resp, err := http.ReadResponse(connect(t, address, request).r, nil)
		return err == nil && resp.StatusCode == 200
	})
}

// TestRefusalOfAHeadHasNoContent (RFC 9110 section 9.3.2).
func TestRefusalOfAHeadHasNoContent(t *testing.T) {
	address := startAccept(t, (&websocket.Server{Refused: func(websocket.Refusal) {}}).Accept)
	c := connect(t, address, strings.Replace(openingRequest("/"), "GET", "HEAD", 1))
	if answer, err := io.ReadAll(c.r); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n") {
		t.Errorf("%q, %v", answer, err)
	}
}
