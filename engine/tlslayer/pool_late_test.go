package tlslayer

import (
	"io"
	"testing"
	"time"
)

// blockedHandshake returns one that waits for its client.
func blockedHandshake(t *testing.T, l *Layer) *handshake {
	t.Helper()
	h := l.server(nil, nil, func() {})
	h.Feed(hello(t))
	waitFor(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.state == blocked
	})
	return h
}

// TestTurnOfAHandshakeThatHasEnded: Feed and ReadClosed ask for a turn after they have unlocked the
// handshake. If its goroutine ended in between, it got a turn that nobody took back.
func TestTurnOfAHandshakeThatHasEnded(t *testing.T) {
	l := newLayer(Config{TLS: testConfig(), Processors: 1})
	h := blockedHandshake(t, l)
	h.mu.Lock() // what ReadClosed does
	h.eof, h.state = true, running
	h.mu.Unlock()
	h.Cancel(io.ErrUnexpectedEOF)
	waitFor(t, func() bool { done, _ := h.Done(); return done })
	l.pool.submit(h)
	if !idle(l) {
		t.Errorf("running %d, begun %d, ready %d", l.pool.running, l.pool.begun, len(l.pool.ready))
	}
	blockedHandshake(t, l).Cancel(io.EOF) // the next one has its turn
	waitFor(t, func() bool { return idle(l) })
}

// TestTurnOfAHandshakeThatIsCanceled: the same for one that is about to end.
func TestTurnOfAHandshakeThatIsCanceled(t *testing.T) {
	l := newLayer(Config{TLS: testConfig(), Processors: 1})
	h := blockedHandshake(t, l)
	l.pool.mu.Lock() // its goroutine cannot end
	h.Cancel(io.ErrUnexpectedEOF)
	fed := make(chan bool)
	go func() {
		h.Feed([]byte{typeData})
		h.ReadClosed()
		close(fed)
	}()
	select {
	case <-fed:
	case <-time.After(10 * time.Second):
		t.Error("it has asked for a turn")
	}
	l.pool.mu.Unlock()
	<-fed
	waitFor(t, func() bool { return idle(l) })
}
