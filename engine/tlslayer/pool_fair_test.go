package tlslayer

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// from returns a server's handshake with a client of an address, and tells when it is notified.
func from(l *Layer, address byte) (*handshake, chan struct{}) {
	notified := make(chan struct{}, 10)
	remote := &net.TCPAddr{IP: net.IPv4(10, 0, 0, address), Port: 1}
	return l.server(nil, remote, func() { notified <- struct{}{} }), notified
}

// allBlocked waits until n handshakes have begun, and wait for their peers.
func allBlocked(t *testing.T, l *Layer, n int) {
	t.Helper()
	waitFor(t, func() bool {
		l.pool.mu.Lock()
		defer l.pool.mu.Unlock()
		return l.pool.begun == n && l.pool.running == 0
	})
}

// TestSilentAddressesKeepOutNobody: four addresses that sent a ClientHello and nothing more had all
// handshakes until their deadline, and others got no answer.
func TestSilentAddressesKeepOutNobody(t *testing.T) {
	const limit = 32
	l := newLayer(Config{TLS: testConfig(), MaxHandshakes: limit, HandshakeTimeout: time.Hour})
	b := hello(t)
	var hs []*handshake
	for i := range limit {
		h, _ := from(l, byte(1+i/8))
		h.Feed(b) // an error shows below
		hs = append(hs, h)
		allBlocked(t, l, i+1)
	}
	for range 5 { // others get as many as these
		h, notified := from(l, 9)
		h.Feed(b)
		select {
		case <-notified:
		case <-time.After(10 * time.Second):
			t.Fatal("the client of another address is not answered")
		}
		if out := h.Output(nil); len(out) < 100 {
			t.Fatalf("the answer has %d bytes", len(out))
		}
		hs = append(hs, h)
		allBlocked(t, l, limit)
	}
	dropped := 0
	for i, h := range hs {
		done, err := h.Done()
		if done {
			dropped++
		}
		if done && (err != ErrBusy || i%8 > 1 || i >= limit) {
			t.Errorf("handshake %d was dropped: %v", i, err)
		}
	}
	if dropped != 5 {
		t.Errorf("%d were dropped", dropped)
	}
	if h, _ := from(l, 1); true { // one of an address that has its share waits
		h.Feed(b)
		hs = append(hs, h)
		if done, err := h.Done(); done || l.Stats().Busy != 5 {
			t.Errorf("done %t, error %v, %+v", done, err, l.Stats())
		}
	}
	for _, h := range hs {
		h.Cancel(io.EOF)
	}
	waitFor(t, func() bool { return idle(l) })
	if len(l.pool.all) != 0 || len(l.pool.clients) != 0 || l.pool.leaving != 0 {
		t.Error("something is left")
	}
}

// TestManySilentAddressesKeepOutNobody: as many addresses as handshakes may have one each. Then the
// one goes that waits longest, if that is long.
func TestManySilentAddressesKeepOutNobody(t *testing.T) {
	const limit = 8
	l := newLayer(Config{TLS: testConfig(), MaxHandshakes: limit, HandshakeTimeout: time.Hour})
	b := hello(t)
	var hs []*handshake
	for i := range limit {
		h, _ := from(l, byte(1+i))
		h.Feed(b)
		hs = append(hs, h)
		allBlocked(t, l, i+1)
	}
	patient, _ := from(l, 90)
	patient.Feed(b)
	if s := l.Stats(); s.Busy != 0 {
		t.Errorf("somebody has to leave at once: %+v", s)
	}
	l.pool.mu.Lock()
	for _, h := range hs {
		h.since = h.since.Add(-time.Hour / 2)
	}
	l.pool.mu.Unlock()
	last, notified := from(l, 91)
	last.Feed(b)
	select {
	case <-notified:
	case <-time.After(10 * time.Second):
		t.Fatal("the client of another address is not answered")
	}
	if done, err := hs[0].Done(); !done || err != ErrBusy {
		t.Errorf("the one that waits longest: done %t, error %v", done, err)
	}
	for _, h := range append(hs, patient, last) {
		h.Cancel(io.EOF)
	}
	waitFor(t, func() bool { return idle(l) })
}

// TestLargeClientHellosKeepOutNobody: two addresses with ClientHellos that never ended held all of
// MaxHandshakeBytes, and whatever other clients sent was refused.
func TestLargeClientHellosKeepOutNobody(t *testing.T) {
	const size = 16<<10 - 100
	const limit = 4 * size
	l := newLayer(Config{TLS: testConfig(), MaxHandshakeBytes: limit, HandshakeTimeout: time.Hour})
	long := append([]byte{typeHandshake, 3, 1, 0x3f, 0xff, messageClientHello, 0, 0x3f, 0xfb},
		make([]byte, size)...)[:size]
	var hs []*handshake
	for i := range 6 { // four have room
		h, _ := from(l, byte(1+i%2))
		h.Feed(long)
		hs = append(hs, h)
	}
	b := hello(t)
	busy := l.Stats().Busy
	for i := range b { // another client takes its time
		if i == 0 {
			h, _ := from(l, 9)
			hs = append(hs, h)
		}
		h := hs[len(hs)-1]
		if n, err := h.Feed(b[i : i+1]); n != 1 || err != nil {
			t.Fatalf("byte %d of another client: %d, %v", i, n, err)
		}
	}
	if n := l.Stats(); n.Busy != busy+1 || n.HeldBytes > limit {
		t.Errorf("%d were dropped, %d bytes are held", n.Busy-busy, n.HeldBytes)
	}
	// One of the same address that needs little is not refused because of what it has.
	again, _ := from(l, 1)
	full, _ := from(l, 1)
	full.Feed(long[:limit-l.Stats().HeldBytes])
	hs = append(hs, full)
	if _, err := again.Feed(b[:len(b)-1]); err != nil {
		t.Errorf("a small one of an address that holds a lot: %v", err)
	}
	for _, h := range append(hs, again) {
		h.Cancel(io.EOF)
	}
	waitFor(t, func() bool { return idle(l) })
	if len(l.held.clients) != 0 {
		t.Errorf("%d clients are left", len(l.held.clients))
	}
	for i, clients := range l.held.bySize {
		if len(clients) != 0 {
			t.Errorf("%d clients are left in class %d", len(clients), i)
		}
	}
}

// TestClientHelloInTinyRecords: it could hold twice what a ClientHello may have.
func TestClientHelloInTinyRecords(t *testing.T) {
	l := newLayer(Config{TLS: testConfig()})
	h, _ := from(l, 1)
	h.Feed([]byte{typeHandshake, 3, 1, 0, 4, messageClientHello, 0, 0x3f, 0})
	tiny := bytes.Repeat([]byte{typeHandshake, 3, 1, 0, 1, 0}, 100)
	for held := 0; ; held = int(l.Stats().HeldBytes) {
		if held > maxHello+2<<10 {
			t.Fatalf("%d bytes are held", held)
		}
		if _, err := h.Feed(tiny); err != nil {
			break
		}
	}
	if out := h.Output(nil); len(out) != 7 || out[6] != alertInternalError || !idle(l) {
		t.Errorf("sends %x", out)
	}
}
