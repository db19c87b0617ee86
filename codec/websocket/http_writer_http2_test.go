package websocket_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestHTTP2ResponseThatNobodyTakesEnds: a client of HTTP/2 may open no window for a response. Its
// Handler waited for ever, and the connection counted for MaxHTTP.
func TestHTTP2ResponseThatNobodyTakesEnds(t *testing.T) {
	const timeout = 300 * time.Millisecond
	for name, write := range map[string]func(w http.ResponseWriter) error{
		"large": func(w http.ResponseWriter) error {
			_, err := w.Write(make([]byte, 100_000))
			return err
		},
		"flushed": func(w http.ResponseWriter) error {
			io.WriteString(w, "some") // which stays in a buffer
			return http.NewResponseController(w).Flush()
		},
		"left to the end": func(w http.ResponseWriter) error {
			io.WriteString(w, "some")
			return errors.New("net/http sends it")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := &websocket.Server{HTTPTimeout: timeout, Handler: http.HandlerFunc(
				func(w http.ResponseWriter, _ *http.Request) { ended <- write(w) })}
			server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
			c := server.connect(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
				"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00"+ // no window
				"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x01a", "h2")
			for kind := byte(0); kind != 3; { // RST_STREAM
				var head [9]byte
				if _, err := io.ReadFull(c.r, head[:]); err != nil {
					t.Fatalf("no end of the stream: %v", err)
				}
				kind = head[3]
				c.r.Discard(int(head[1])<<8 | int(head[2]))
			}
			if receive(t, "end of the Handler", ended) == nil {
				t.Error("no error")
			}
		})
	}
}

// TestSlowHTTP2ResponseGoesOn: a client that takes enough within each timeout gets all of it, and a
// Handler that works for longer is not cut.
func TestSlowHTTP2ResponseGoesOn(t *testing.T) {
	const timeout, step = 400 * time.Millisecond, 8 << 10
	s := &websocket.Server{HTTPTimeout: timeout, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			time.Sleep(2 * timeout) // the Handler's own work
			w.Write(make([]byte, 12*step))
		})}
	server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
	c := server.connect(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x20\x00"+ // a window of a step
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x01a", "h2")
	// For the stream, and for the connection.
	const more = "\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x20\x00" +
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x20\x00"
	tick := time.NewTicker(timeout / 4)
	defer tick.Stop()
	for got := 0; got < 12*step; {
		var head [9]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			t.Fatal(err)
		}
		n := int(head[1])<<8 | int(head[2])
		c.r.Discard(n)
		switch head[3] {
		case 0: // DATA
			if got += n; got%step == 0 {
				<-tick.C
				io.WriteString(c, more)
			}
		case 3:
			t.Fatalf("cut behind %d bytes", got)
		}
	}
}

// TestRequestsOfHTTP2HaveALimit: each connection could have 100 in progress, and takes no response.
// By default those of one address held a gigabyte, for two minutes.
func TestRequestsOfHTTP2HaveALimit(t *testing.T) {
	const each, all = 100, 400 // for MaxHTTP of 100 or less
	var begun, running atomic.Int64
	goOn := make(chan struct{})
	s := &websocket.Server{MaxHTTP: 16, MaxHTTPPerAddress: -1, Handler: http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {
			begun.Add(1)
			running.Add(1)
			defer running.Add(-1)
			<-goOn
		})}
	server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
	ask := func(n int) *client {
		var heads strings.Builder
		for i := range n {
			id := 2*i + 1
			heads.WriteString("\x00\x00\x06\x01\x05\x00\x00" + string([]byte{byte(id >> 8), byte(id)}) +
				"\x82\x87\x84\x41\x01a")
		}
		return server.connect(t, websocket.HTTP2Begin+heads.String(), "h2")
	}
	var clients []*client
	for range all / each {
		clients = append(clients, ask(each))
	}
	until(t, "all requests", func() bool { return running.Load() == all })
	over := ask(1)
	if _, err := io.Copy(io.Discard, over.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one more has not closed its connection: %v", err)
	}
	if n := begun.Load(); n != all {
		t.Errorf("the Handler has got %d", n)
	}
	close(goOn)
	until(t, "the end of all requests", func() bool { return running.Load() == 0 })
	clients[0].Close()
	ask(1)
	until(t, "another request", func() bool { return begun.Load() == all+1 })
}
