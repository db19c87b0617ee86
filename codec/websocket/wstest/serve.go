//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package wstest

import (
	"context"
	"errors"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// Serve runs s on an engine with one loop and a port of the loopback interface until the test ends,
// and returns its URL.
func Serve(t testing.TB, s *websocket.Server) (url string) {
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil && !errors.Is(err, engine.ErrClosed) { // connections were cut
			t.Errorf("wstest: %v", err)
		}
	})
	return "ws://" + ln.String()
}
