package websocket_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestHijackKeepsEarlyBytes: what the client sends behind a request belongs to the Handler that
// takes the connection over. It was judged as a request, and replaced by a bad one, if it came
// while the Handler ran.
func TestHijackKeepsEarlyBytes(t *testing.T) {
	for _, test := range []struct{ name, early string }{
		{name: "no HTTP", early: "\x01\x02binary\nearly bytes"},
		{name: "no line yet", early: "early"},
		{name: "empty line", early: "\r\nearly"},
		{name: "empty line and a request", early: "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "a request", early: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "a request and no HTTP", early: "GET / HTTP/1.1\r\nHost: x\r\n\r\n\x00\n"},
	} {
		for _, when := range []string{"with the request", "while the Handler runs", "after Hijack"} {
			t.Run(test.name+" "+when, func(t *testing.T) {
				running, sent := make(chan struct{}), make(chan struct{})
				got := make(chan string, 1)
				handler := func(w http.ResponseWriter, r *http.Request) {
					if when == "while the Handler runs" {
						close(running)
						<-sent
					}
					for range 1000 { // net/http looks ahead meanwhile
						runtime.Gosched()
					}
					nc, rw, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer nc.Close()
					if when == "after Hijack" {
						close(running)
					}
					nc.SetReadDeadline(time.Now().Add(5 * time.Second))
					b := make([]byte, len(test.early))
					n, _ := io.ReadFull(rw, b)
					got <- string(b[:n])
				}
				_, address := start(t, &websocket.Server{Handler: http.HandlerFunc(handler)}, engine.Config{Loops: 1})
				nc, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				head := "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: tunnel\r\nConnection: Upgrade\r\n\r\n"
				if when == "with the request" {
					io.WriteString(nc, head+test.early)
				} else {
					io.WriteString(nc, head)
					<-running
					io.WriteString(nc, test.early)
					close(sent)
				}
				if b := <-got; b != test.early {
					t.Errorf("the Handler got %q, want %q", b, test.early)
				}
			})
		}
	}
}
