package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestUpgradeAfterOtherRequests: a connection that net/http serves comes back to the loops by an
// opening handshake.
func TestUpgradeAfterOtherRequests(t *testing.T) {
	site := newSite()
	eng, address := start(t, &websocket.Server{Handler: site, Message: echo}, engine.Config{Loops: 1})
	requests := get + post("hello", "Content-Length: 5")
	frames := wsproto.AppendMasked(nil, wsproto.Text, 77, []byte("early"))
	frames = wsproto.AppendMasked(frames, wsproto.Binary, 78, []byte(strings.Repeat("bird", 10_000)))
	for _, pieces := range [][]string{ // what is sent before and after the first two answers
		{requests, openingRequest("/") + string(frames)},
		{requests + openingRequest("/") + string(frames), ""},
	} {
		c := connect(t, address, pieces[0])
		c.response(t, 200)
		c.response(t, 200)
		io.WriteString(c, pieces[1])
		c.response(t, 101)
		c.expect(t, ws.OpText, "early")
		c.expect(t, ws.OpBinary, strings.Repeat("bird", 10_000))
		until(t, "end of the goroutine", func() bool { return !inNetHTTP() })
		c.ask(t, ws.OpText, "later")
	}
	if s, err := eng.Stats(context.Background()); err != nil || s.Connections != 2 || site.requests.Load() != 4 {
		t.Errorf("%d connections, %d requests, %v", s.Connections, site.requests.Load(), err)
	}

	// One that is refused is the last request: what is behind it are frames, or nothing that
	// anybody may read.
	c := connect(t, address, get+openingRequest("/", "Sec-WebSocket-Version: 8")+evil)
	c.response(t, 200)
	if resp, _ := c.response(t, 426); !resp.Close {
		t.Error("no Connection: close")
	}
	c.end(t)
	if site.evil.Load() {
		t.Error("the Handler got what was behind")
	}

	// Another upgrade is the Handler's to answer.
	c = connect(t, address, get+"GET /hijack HTTP/1.1\r\nHost: a\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n")
	c.response(t, 200)
	c.response(t, 101)
	io.WriteString(c, "no HTTP\n")
	if line, err := c.r.ReadString('\n'); line != "you said no HTTP\n" {
		t.Errorf("%q, %v", line, err)
	}
	c.end(t)
}

// TestMaxHTTP: further connections are told so, be they one address's or all together, and places
// become free again.
func TestMaxHTTP(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite(), Message: echo, MaxHTTP: 8, MaxHTTPPerAddress: 2},
		engine.Config{Loops: 2})
	ask := func(from, request string) (*client, int) {
		t.Helper()
		c := connectFrom(t, from, address, request)
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		return c, resp.StatusCode
	}
	full := func(from string) {
		t.Helper()
		c, status := ask(from, get+evil)
		if status != 503 {
			t.Errorf("%s gets %d", from, status)
		}
		c.end(t)
	}
	var open []*client
	for i := range 8 {
		from := fmt.Sprintf("127.0.0.%d", 1+i/2)
		c, status := ask(from, get)
		if open = append(open, c); status != 200 {
			t.Fatalf("%s gets %d", from, status)
		}
		if i%2 == 1 {
			full(from)
		}
	}
	full("127.0.0.5")
	free := func(from string) { // and the place is taken
		t.Helper()
		until(t, "place for "+from, func() bool {
			_, status := ask(from, get)
			return status == 200
		})
	}
	open[0].Close()
	free("127.0.0.5")
	io.WriteString(open[2], openingRequest("/"))
	open[2].response(t, 101)
	io.WriteString(open[4], "nonsense\n")
	open[4].response(t, 400)
	free("127.0.0.6")
	free("127.0.0.6")
	full("127.0.0.7")
}

// TestIdleHTTPKeepsOutNobody: four addresses that kept as many idle connections as they could had
// all of MaxHTTP, and nobody else got a page.
func TestIdleHTTPKeepsOutNobody(t *testing.T) {
	const limit = 64
	_, address := start(t, &websocket.Server{Handler: newSite(), MaxHTTP: limit}, engine.Config{Loops: 1})
	ask := func(from string) int {
		c := connectFrom(t, from, address, get)
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for i := range 4 {
		for range limit / 4 {
			if ask(fmt.Sprintf("127.0.0.%d", 1+i)) != 200 {
				break
			}
		}
	}
	for range 3 {
		if status := ask("127.0.0.5"); status != 200 {
			t.Errorf("another client gets %d", status)
		}
	}
}

// TestShutdownOfHTTP: idle connections are closed at once, a request in progress is answered, and
// one that goes on for too long is cut. (TestSIGTERMWithDeafPeers of the examples has those that
// are cut although the engine still has time.)
func TestShutdownOfHTTP(t *testing.T) {
	entered, proceed := make(chan context.Context, 2), make(chan struct{})
	site := newSite()
	site.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		entered <- r.Context()
		<-proceed
		io.WriteString(w, "at last")
	})
	site.HandleFunc("POST /waiting", func(_ http.ResponseWriter, r *http.Request) {
		entered <- r.Context()
		io.Copy(io.Discard, r.Body)
	})
	site.HandleFunc("GET /forever", func(w http.ResponseWriter, r *http.Request) {
		entered <- r.Context()
		<-r.Context().Done()
	})
	const slow = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name    string
		request string
		end     func(*engine.Engine) error
	}{
		{name: "in order", request: slow,
			end: func(e *engine.Engine) error { return e.Shutdown(context.Background()) }},
		{name: "at once", request: "GET /forever HTTP/1.1\r\nHost: a\r\n\r\n", end: (*engine.Engine).Close},
		{name: "when time is up", request: "POST /waiting HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhalf",
			end: func(e *engine.Engine) error {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				defer cancel()
				return e.Shutdown(ctx)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &websocket.Server{Handler: site}
			eng, address := start(t, s, engine.Config{Loops: 1})
			idle := connect(t, address, get)
			idle.response(t, 200)
			busy := connect(t, address, c.request)
			ctx := receive(t, "request", entered)
			done := make(chan error, 1)
			go func() { done <- c.end(eng) }()
			idle.end(t)
			if c.request == slow {
				if ctx.Err() != nil {
					t.Error("the request's context has ended before it was answered")
				}
				close(proceed)
				resp, text := busy.response(t, 200)
				if text != "at last" || !resp.Close {
					t.Errorf("%q, close is %v", text, resp.Close)
				}
				busy.Close()
			}
			if err := receive(t, "end", done); err != nil {
				t.Error(err)
			}
			until(t, "end of the goroutines", func() bool { return !inNetHTTP() })
		})
	}
}

// TestHTTPLeavesNothingBehind: no goroutine stays when the connections are gone.
func TestHTTPLeavesNothingBehind(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite(), Message: echo}, engine.Config{Loops: 1})
	connect(t, address, get).response(t, 200)
	before := runtime.NumGoroutine() // with that of one connection
	for i := range 50 {
		c := connect(t, address, get)
		c.response(t, 200)
		switch i % 4 {
		case 0:
			io.WriteString(c, openingRequest("/"))
			c.response(t, 101)
		case 1:
			io.WriteString(c, "nonsense\n")
			c.response(t, 400)
		case 2:
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			c.response(t, 200)
		}
		c.Close()
	}
	until(t, "end of the goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

// TestExpectContinue: a client that waits is told to go on when the Handler reads.
func TestExpectContinue(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite()}, engine.Config{Loops: 1})
	c := connect(t, address, post("", "Content-Length: 5", "Expect: 100-continue"))
	if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c.r.ReadString('\n')
	io.WriteString(c, "hello")
	if _, text := c.response(t, 200); text != "hello" {
		t.Error(text)
	}
}

// TestIdleHTTPConnections are closed in time, also with half a request.
func TestIdleHTTPConnections(t *testing.T) {
	_, address := start(t, &websocket.Server{Handler: newSite(),
		Limits: websocket.Limits{IdleTimeout: 20 * time.Millisecond}}, engine.Config{Loops: 1})
	for _, more := range []string{"", "GET / HT"} {
		c := connect(t, address, get)
		c.response(t, 200)
		io.WriteString(c, more)
		c.end(t)
	}
}
