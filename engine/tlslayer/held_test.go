package tlslayer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestMessagesOfHandshakesCountAsHeld: what crypto/tls had read of a handshake message that was not
// whole, up to 256 KiB, counted for nothing.
func TestMessagesOfHandshakesCountAsHeld(t *testing.T) {
	const pieces, limit = 3, 64 << 10
	piece := append([]byte{typeHandshake, 3, 3, maxPlain >> 8, 0}, make([]byte, maxPlain)...)
	first := append([]byte(nil), piece...)
	copy(first[headerLen:], []byte{16, 0, 0xff, 0xff}) // ClientKeyExchange
	client := newLayer(Config{TLS: suiteConfig(testSuites[1].id)})
	notified := make(chan struct{}, 10)
	c := client.client(client.config.TLS, nil, nil, func() { notified <- struct{}{} })
	<-notified
	b := c.Output(nil)
	c.Cancel(io.EOF)

	l := newLayer(Config{TLS: testConfig(), MaxHandshakeBytes: limit, HandshakeTimeout: time.Hour})
	var hs []*handshake
	for i := range 4 {
		h, _ := from(l, byte(1+i))
		hs = append(hs, h)
		for _, b := range [][]byte{b, first, piece, piece} {
			h.Feed(b) // an error shows below
			waitFor(t, func() bool {
				h.mu.Lock()
				defer h.mu.Unlock()
				return h.state == done || h.state == blocked && len(h.in) == 0
			})
			if n := l.Stats().HeldBytes; n > limit {
				t.Fatalf("%d bytes are held, the limit is %d", n, limit)
			}
		}
		if n := l.Stats().HeldBytes; n < pieces*maxPlain {
			t.Errorf("%d bytes are held of a message of which %d have come", n, pieces*maxPlain)
		}
	}
	dropped := 0
	for _, h := range hs {
		if done, err := h.Done(); done {
			dropped++
			if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "MaxHandshakeBytes") {
				t.Errorf("one ends with %v", err)
			}
		}
	}
	if dropped != 3 {
		t.Errorf("%d have made room for others", dropped)
	}
	other, answered := from(l, 9)
	other.Feed(hello(t))
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		t.Error("another client is not answered")
	}
	for _, h := range append(hs, other) {
		h.Cancel(io.EOF)
	}
	waitFor(t, func() bool { return idle(l) })
}
