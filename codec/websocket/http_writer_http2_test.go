package websocket_test

import (
	"errors"
	"io"
	"net/http"
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
