package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestSlowHTTPOutlivesHTTPTimeout: a stream of events, a long upload and a long download were cut
// two minutes after their beginning, however steadily they went on.
func TestSlowHTTPOutlivesHTTPTimeout(t *testing.T) {
	const timeout, size = 300 * time.Millisecond, 6 << 20
	ended := make(chan error, 1)
	site := http.NewServeMux()
	site.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		for i := range 5 {
			select {
			case <-r.Context().Done():
				ended <- r.Context().Err()
				return
			case <-time.After(timeout): // an event is rarer than the timeout
			}
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
		}
		ended <- nil
	})
	site.HandleFunc("GET /big", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, size))
		ended <- err
	})
	site.HandleFunc("POST /big", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
		ended <- err
	})
	_, address := start(t, &websocket.Server{Handler: site, HTTPTimeout: timeout}, engine.Config{Loops: 1})
	for _, test := range []struct {
		name, request string
		upload        bool // slowly, otherwise the response is read slowly
		piece         int
		want          int
	}{
		{name: "events", request: "GET /events HTTP/1.1\r\nHost: a\r\n\r\n", piece: 1 << 10,
			want: 5 * len("data: 0\n\n")},
		{name: "download", request: "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", piece: 20_000, want: size},
		{name: "upload", request: "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", upload: true,
			piece: 5_000, want: len("500000")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, address, test.request)
			if tcp := c.Conn.(*net.TCPConn); !test.upload {
				tcp.SetReadBuffer(64 << 10)
			}
			begin := time.Now()
			if test.upload {
				tick := time.NewTicker(timeout / 20)
				defer tick.Stop()
				for range 500_000 / test.piece {
					<-tick.C
					if _, err := c.Write(make([]byte, test.piece)); err != nil {
						t.Fatal(err)
					}
				}
			}
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			tick := time.NewTicker(timeout / 20)
			defer tick.Stop()
			for b := make([]byte, test.piece); err == nil; {
				var n int
				n, err = io.ReadFull(resp.Body, b)
				got += n
				for !test.upload && isAhead(got, test.piece, begin, timeout) {
					<-tick.C
				}
			}
			if took := time.Since(begin); got != test.want || took < 3*timeout {
				t.Errorf("%d of %d bytes within %v, %v", got, test.want, took, err)
			}
			if err := receive(t, "end", ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// isAhead reports whether a client that reads slowly has to wait: for ten timeouts it reads a piece
// 20 times in each. One that had no processor for a while makes up for that. The kernel tells of
// what was read when it is 64 KiB, so pieces must not be much smaller.
func isAhead(got, piece int, begin time.Time, timeout time.Duration) bool {
	since := time.Since(begin)
	return since < 10*timeout && got > piece*int(since/(timeout/20))
}

// TestStalledHTTPIsCut: who makes no progress, or next to none, is not waited for.
func TestStalledHTTPIsCut(t *testing.T) {
	const timeout = 50 * time.Millisecond
	ended := make(chan error, 1)
	site := http.NewServeMux()
	site.HandleFunc("GET /big", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		ended <- err
	})
	site.HandleFunc("GET /patient", func(w http.ResponseWriter, _ *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(4 * timeout))
		begin := time.Now()
		_, err := w.Write(make([]byte, 64<<20))
		if took := time.Since(begin); took < 4*timeout {
			err = fmt.Errorf("%w after %v", context.Canceled, took)
		}
		ended <- err
	})
	site.HandleFunc("POST /big", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	_, address := start(t, &websocket.Server{Handler: site, HTTPTimeout: timeout}, engine.Config{Loops: 1})
	for _, test := range []struct {
		name, request string
		drip          bool
	}{
		{name: "download", request: "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "download with the Handler's deadline", request: "GET /patient HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "upload", request: "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nabc"},
		{name: "upload byte by byte", request: "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n",
			drip: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, address, test.request)
			if test.drip {
				go func() {
					for range 10_000 {
						if _, err := c.Write([]byte("x")); err != nil {
							return
						}
						time.Sleep(timeout / 10)
					}
				}()
			}
			if err := receive(t, "end", ended); err == nil || !strings.Contains(err.Error(), "timeout") {
				t.Errorf("%v, want a timeout", err)
			}
		})
	}
}
