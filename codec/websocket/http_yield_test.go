package websocket_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestRequestsWithoutEndLetOthersRun: peers whose requests come without end kept a processor until
// the runtime preempted them, after 10 ms each. With hundreds of them a loop had its turn once in
// seconds.
func TestRequestsWithoutEndLetOthersRun(t *testing.T) {
	const peers, requests = 16, 90
	var streams strings.Builder // HEADERS of HTTP/2
	for id := range byte(requests) {
		streams.WriteString("\x00\x00\x06\x01\x05\x00\x00\x00" + string([]byte{2*id + 1}) + "\x82\x87\x84\x41\x01a")
	}
	const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	var handled atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled.Add(1) })
	server := startTLS(t, &websocket.Server{Handler: handler}, engine.ListenConfig{}, "h2", "http/1.1")
	_, address := start(t, &websocket.Server{Handler: handler}, engine.Config{Loops: 1})
	for name, test := range map[string]struct {
		connect func() *client
		flood   string
	}{
		"HTTP/1.1": {func() *client { return connect(t, address, "") },
			strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", requests-1) +
				"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		"HTTP/2": {func() *client {
			return server.connect(t, websocket.HTTP2Begin, "h2")
		}, streams.String() + goAway},
	} {
		t.Run(name, func(t *testing.T) {
			handled.Store(0)
			var clients []*client
			for range peers {
				clients = append(clients, test.connect())
			}
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			var over atomic.Bool
			var most int64
			var answers, others sync.WaitGroup
			others.Go(func() {
				last := handled.Load()
				for !over.Load() {
					now := handled.Load()
					most, last = max(most, now-last), now
					runtime.Gosched()
				}
			})
			for _, c := range clients {
				go io.WriteString(c, test.flood) // what is missing shows below
				answers.Go(func() { io.Copy(io.Discard, c.r) })
			}
			answers.Wait()
			over.Store(true)
			others.Wait()
			if n := handled.Load(); n != peers*requests {
				t.Errorf("%d requests, want %d", n, peers*requests)
			}
			if most > 4*peers {
				t.Errorf("another goroutine has waited for %d requests of %d peers", most, peers)
			}
		})
	}
}
