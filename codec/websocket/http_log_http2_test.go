package websocket_test

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// logLines counts those that are logged.
type logLines struct{ all, panics atomic.Int64 }

func (l *logLines) Write(p []byte) (int, error) {
	l.all.Add(1)
	if strings.Contains(string(p), "panic serving") {
		l.panics.Add(1)
	}
	return len(p), nil
}

// TestClientsCannotFillTheLog: net/http logs each GOAWAY of a client of HTTP/2, and goes on as long
// as a request is in progress. That is six times what the client sends.
func TestClientsCannotFillTheLog(t *testing.T) {
	var logged logLines
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	const times = 200
	var asked atomic.Int64
	s := &websocket.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.Copy(io.Discard, r.Body)
		panic("a mistake")
	})}
	server := startTLS(t, s, engine.ListenConfig{}, "h2", "http/1.1")
	const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	c := server.connect(t, websocket.HTTP2Begin+
		"\x00\x00\x06\x01\x04\x00\x00\x00\x01\x83\x87\x84\x41\x01a"+ // without an end
		strings.Repeat(goAway, times)+
		"\x00\x00\x00\x00\x01\x00\x00\x00\x01", "h2") // the end
	io.Copy(io.Discard, c.r)
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if n := logged.all.Load(); n > times/10 {
		t.Errorf("%d lines for %d messages", n, times)
	}
	until(t, "the panic in the log", func() bool { return logged.panics.Load() == 1 })
}
