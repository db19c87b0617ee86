package engine_test

import (
	"io"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestPanicsDoNotFillTheLog: a peer that can make a handler panic wrote 1.5 KB of log each time.
func TestPanicsDoNotFillTheLog(t *testing.T) {
	const peers = 200
	s := serve(t, engine.Config{Loops: 1}, func(*engine.Conn) engine.Protocol {
		return &proto{feed: func([]byte) (int, error) { panic("a bug") }, closed: func(error) {}}
	})
	for range peers {
		c := s.dial(t)
		io.WriteString(c, "x")
		io.Copy(io.Discard, c)
		c.Close()
	}
	stats, err := s.Stats(t.Context())
	if n := strings.Count(s.log.String(), "panic in a handler"); n == 0 || n > peers/10 || stats.Panics != peers {
		t.Errorf("%d panics, %v, made %d entries of the log", stats.Panics, err, n)
	}
}
