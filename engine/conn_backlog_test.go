package engine_test

import (
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestInputWaitsForPeersOverHighWater: what was read from a peer before it was over the high
// watermark was offered turn by turn all the same. So a few KiB of small requests filled the queue
// of a peer that read slowly up to MaxOutbound, and it was closed.
func TestInputWaitsForPeersOverHighWater(t *testing.T) {
	const requests, answer = 40_000, 1 << 10
	over, closed := make(chan bool), make(chan int, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		told, fedOver := false, 0
		return &proto{
			feed: func(b []byte) (n int, err error) {
				if c.Pressure() == engine.OverHighWater {
					fedOver++
				}
				for n < len(b) {
					n++
					c.Write(make([]byte, answer)) // an error shows below
					if c.Yield() {
						break
					}
				}
				if !told && c.Pressure() == engine.OverHighWater && n < len(b) {
					told = true
					close(over)
				}
				return n, nil
			},
			closed: func(error) { closed <- fedOver },
		}
	})
	peer := s.dial(t)
	if _, err := peer.Write(make([]byte, requests)); err != nil {
		t.Fatal(err)
	}
	receive(t, "peer over the high watermark", over)
	if n, err := io.CopyN(io.Discard, peer, requests*answer); err != nil {
		t.Errorf("%d of %d bytes came: %v", n, requests*answer, err)
	}
	peer.Close()
	if n := receive(t, "end", closed); n > 0 {
		t.Errorf("a peer over the high watermark was fed %d times", n)
	}
}
