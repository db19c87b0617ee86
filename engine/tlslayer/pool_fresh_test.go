package tlslayer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestManyHandshakesOfOneAddressKeepOutNobody: the newest began first, whoever it was of. So an
// address with many kept those of others from beginning, until they had no time left.
func TestManyHandshakesOfOneAddressKeepOutNobody(t *testing.T) {
	var mu sync.Mutex
	var order []string
	l := newLayer(Config{TLS: testConfig(), Processors: 1})
	// A callback of the user's would give the turn to the next one, which might be faster.
	l.base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, hello.Conn.RemoteAddr().String())
		return nil, errors.New("enough")
	}
	l.pool.running = 1
	b := hello(t)
	for i, address := range []byte{2, 2, 3, 1, 1, 1} {
		l.server(nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, address), Port: i}, func() {}).Feed(b)
	}
	l.pool.mu.Lock()
	l.pool.running = 0
	l.pool.dispatch()
	l.pool.mu.Unlock()
	waitFor(t, func() bool { return idle(l) })
	want := []string{"10.0.0.1:5", "10.0.0.3:2", "10.0.0.2:1", "10.0.0.1:4", "10.0.0.2:0", "10.0.0.1:3"}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(l.pool.clients) != 0 || len(l.pool.fresh.newcomers) != 0 || len(l.pool.fresh.served) != 0 {
		t.Error("something is left")
	}
}

// TestAddressWithMostMakesRoom: when too many wait to begin, the oldest of all was dropped.
func TestAddressWithMostMakesRoom(t *testing.T) {
	const limit = 2
	l := newLayer(Config{TLS: testConfig(), MaxHandshakes: limit, MaxHandshakesPerAddress: -1})
	l.pool.running = l.pool.turns
	b := hello(t)
	var hs []*handshake
	for i := range freshMax*limit + 3 {
		address := byte(1)
		if i < 2 {
			address = byte(2 + i)
		}
		h, _ := from(l, address)
		h.Feed(b)
		hs = append(hs, h)
	}
	for i, h := range hs {
		if done, _ := h.Done(); done != (i >= 2 && i < 5) {
			t.Errorf("handshake %d: dropped %t", i, done)
		}
		h.Cancel(io.EOF)
	}
	l.pool.running = 0
	if !idle(l) || len(l.pool.clients) != 0 {
		t.Error("something is left")
	}
}

// TestHandshakesThatGoOnLeaveTurns: those that have begun and got a few bytes came first, the
// newest of them before others. Peers that sent their bytes one by one kept all others waiting.
func TestHandshakesThatGoOnLeaveTurns(t *testing.T) {
	l := newLayer(Config{TLS: testConfig(), Processors: 1, HandshakeTimeout: time.Hour})
	p := &l.pool
	p.running = 1
	fresh, notified := from(l, 1)
	fresh.Feed(hello(t))
	ready := func() *handshake {
		h := &handshake{layer: l, wake: make(chan struct{}, 1)}
		p.ready = append(p.ready, h)
		return h
	}
	p.mu.Lock()
	first := ready()
	for turns := 0; p.begun == 0; turns++ {
		if turns > goOnMax {
			t.Errorf("no new one has begun in %d turns", turns)
			break
		}
		ready()
		p.running = 0
		p.dispatch()
		if turns == 0 && len(first.wake) == 0 {
			t.Error("the first of those that are ready has to wait")
		}
	}
	p.ready = nil
	if t.Failed() {
		p.running = 0
		p.dispatch()
	}
	p.mu.Unlock()
	<-notified
	fresh.Cancel(io.EOF)
	waitFor(t, func() bool { return idle(l) })
}
