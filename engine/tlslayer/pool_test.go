package tlslayer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// peers are two handshakes and what is on its way between them.
type peers struct {
	server, client     *handshake
	toServer, toClient []byte
	notified           chan struct{}
}

func newPeers(server, client *Layer) *peers {
	p := &peers{notified: make(chan struct{}, 1)}
	p.server = server.server(nil, nil, p.notify)
	p.client = client.client(client.config.TLS, nil, nil, p.notify)
	return p
}

func (p *peers) notify() {
	select {
	case p.notified <- struct{}{}:
	default:
	}
}

// until carries bytes until done returns true.
func (p *peers) until(t *testing.T, done func() bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for !done() {
		p.toServer, p.toClient = p.client.Output(p.toServer), p.server.Output(p.toClient)
		n, _ := p.server.Feed(p.toServer)
		m, _ := p.client.Feed(p.toClient)
		p.toServer, p.toClient = p.toServer[n:], p.toClient[m:]
		if n+m > 0 {
			continue
		}
		select {
		case <-p.notified:
		case <-time.After(time.Millisecond):
		case <-timeout:
			t.Fatal("timeout")
		}
	}
}

func waitFor(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout")
		}
	}
}

// hello returns a ClientHello.
func hello(t testing.TB) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go tls.Client(ours, testConfig()).HandshakeContext(context.Background())
	b := make([]byte, 64<<10)
	n, err := io.ReadAtLeast(theirs, b, headerLen)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// TestHelloIsGathered feeds a ClientHello byte by byte. No goroutine begins before the last.
func TestHelloIsGathered(t *testing.T) {
	l := newLayer(Config{TLS: testConfig()})
	var notified atomic.Int32
	h := l.server(nil, nil, func() { notified.Add(1) })
	b := hello(t)
	for i := range b {
		if whole, _, err := new(helloScan).whole(b[:i]); whole || err != nil {
			t.Fatalf("%d bytes of %d: whole %t, error %v", i, len(b), whole, err)
		}
		if l.Stats().HeldBytes != uint64(i) || l.pool.begun != 0 {
			t.Fatalf("%d bytes are held, %d begun", l.Stats().HeldBytes, l.pool.begun)
		}
		if n, err := h.Feed(b[i : i+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	waitFor(t, func() bool { return notified.Load() > 0 })
	if out := h.Output(nil); len(out) < 100 || out[0] != typeHandshake {
		t.Errorf("answer: %.20x", out)
	}
	h.Cancel(io.EOF)
	waitFor(t, func() bool { return idle(l) })
}

// TestHelloInManyRecords feeds a ClientHello in records of one byte, and one that never ends.
func TestHelloInManyRecords(t *testing.T) {
	l := newLayer(Config{TLS: testConfig()})
	b := hello(t)
	var records []byte
	for _, x := range b[headerLen:] {
		records = append(records, typeHandshake, 3, 1, 0, 1, x)
	}
	if whole, _, err := new(helloScan).whole(records); !whole || err != nil {
		t.Errorf("whole %t, error %v", whole, err)
	}
	h := l.server(nil, nil, func() {})
	endless := []byte{typeHandshake, 3, 1, 0, 4, messageClientHello, 0, 0x3f, 0}
	endless = append(endless, bytes.Repeat([]byte{typeHandshake, 3, 1, 0, 1, 0}, maxFed)...)
	if _, err := h.Feed(endless); err == nil {
		t.Error("a ClientHello in too many records is accepted")
	}
	if !idle(l) {
		t.Error("something is left")
	}
}

// TestGarbageCostsNoGoroutine feeds what is no ClientHello.
func TestGarbageCostsNoGoroutine(t *testing.T) {
	for _, c := range []struct {
		name string
		b    string
		out  string // the alert
	}{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ""},
		{"SSLv2", "\x80\x2e\x01\x00\x02\x00\x15", "\x15\x03\x01\x00\x02\x02\x46"},
		{"alert", "\x15\x03\x01\x00\x02\x02\x28", ""},
		{"data", "\x17\x03\x03\x00\x02\x02\x28", ""},
		{"other message", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x15\x03\x01\x00\x02\x02\x0a"},
		{"empty record", "\x16\x03\x01\x00\x00", "\x15\x03\x01\x00\x02\x02\x0a"},
		{"long record", "\x16\x03\x01\xff\xff", "\x15\x03\x01\x00\x02\x02\x16"},
		{"long hello", "\x16\x03\x01\x40\x00\x01\x00\x41\x00", "\x15\x03\x01\x00\x02\x02\x50"},
	} {
		l := newLayer(Config{TLS: testConfig()})
		h := l.server(nil, nil, func() { t.Errorf("%s: notified", c.name) })
		if _, err := h.Feed([]byte(c.b)); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if out := string(h.Output(nil)); out != c.out {
			t.Errorf("%s: sends %x, want %x", c.name, out, c.out)
		}
		if done, err := h.Done(); !done || err == nil || !idle(l) || l.Stats().Failed != 1 {
			t.Errorf("%s: done %t, error %v, %+v", c.name, done, err, l.Stats())
		}
	}
}

// TestHandshakesAreLimited has a hundred clients send a ClientHello and nothing more.
func TestHandshakesAreLimited(t *testing.T) {
	const limit = 8
	l := newLayer(Config{TLS: testConfig(), MaxHandshakes: limit, Processors: 1})
	b := hello(t)
	var hs []*handshake
	for range 100 {
		h := l.server(nil, nil, func() {})
		hs = append(hs, h)
		h.Feed(b) // an error is counted
	}
	waitFor(t, func() bool {
		l.pool.mu.Lock()
		defer l.pool.mu.Unlock()
		return l.pool.begun == limit && l.pool.running == 0
	})
	busy := l.Stats().Busy
	if fresh := l.pool.fresh.n; fresh > freshMax*limit || int(busy)+limit+fresh != 100 {
		t.Errorf("%d wait, %d were dropped", fresh, busy)
	}
	for _, h := range hs {
		h.Cancel(io.EOF)
	}
	waitFor(t, func() bool { return idle(l) })
	if s := l.Stats(); s.Failed != 100-busy {
		t.Errorf("%+v", s)
	}
}

// TestHeldBytesAreLimited has clients begin a ClientHello and wait.
func TestHeldBytesAreLimited(t *testing.T) {
	l := newLayer(Config{TLS: testConfig(), MaxHandshakeBytes: 10000})
	b := hello(t)[:200]
	var last error
	for range 51 {
		_, last = l.server(nil, nil, func() {}).Feed(b)
	}
	if s := l.Stats(); !errors.Is(last, ErrBusy) || s.Busy != 1 || s.HeldBytes != 10000 {
		t.Errorf("error %v, %+v", last, s)
	}
}

// TestExpiredHandshakesCostNothing has handshakes wait for longer than they may, behind one that
// keeps the only turn. They never get a goroutine.
func TestExpiredHandshakesCostNothing(t *testing.T) {
	var begun atomic.Int32
	c := testConfig().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { begun.Add(1); return nil, nil }
	l := newLayer(Config{TLS: c, Processors: 1})
	l.pool.running = 1 // the only turn is taken
	b := hello(t)
	var notified atomic.Int32
	for range 10 {
		h := l.server(nil, nil, func() { notified.Add(1) })
		h.deadline = time.Now().Add(-time.Second)
		h.Feed(b)
	}
	l.pool.mu.Lock()
	l.pool.running = 0
	expired := l.pool.dispatch()
	l.pool.mu.Unlock()
	dropAll(expired)
	if s := l.Stats(); s.TimedOut != 10 || notified.Load() != 10 || begun.Load() != 0 || !idle(l) {
		t.Errorf("%d notified, %d begun, %+v", notified.Load(), begun.Load(), s)
	}
}

// TestSilentPeerTimesOut has a client wait for an answer that does not come.
func TestSilentPeerTimesOut(t *testing.T) {
	l := newLayer(Config{TLS: testConfig(), HandshakeTimeout: 20 * time.Millisecond})
	h := l.client(l.config.TLS, nil, nil, func() {})
	waitFor(t, func() bool { done, err := h.Done(); return done && errors.Is(err, ErrTimeout) })
	waitFor(t, func() bool { return idle(l) })
	if s := l.Stats(); s.TimedOut != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNewestFirst has handshakes wait for a turn.
func TestNewestFirst(t *testing.T) {
	var mu sync.Mutex
	var order []string
	c := testConfig().Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, hello.Conn.RemoteAddr().String())
		return nil, errors.New("enough")
	}
	l := newLayer(Config{TLS: c, Processors: 1})
	l.pool.running = 1
	b := hello(t)
	for i := range 5 {
		l.server(nil, &net.TCPAddr{Port: i}, func() {}).Feed(b)
	}
	l.pool.mu.Lock()
	l.pool.running = 0
	l.pool.dispatch()
	l.pool.mu.Unlock()
	waitFor(t, func() bool { return idle(l) })
	if len(order) != 5 || order[0] != ":4" {
		t.Errorf("order %v", order)
	}
}

// TestCallbackThatWaitsHoldsUpNobody has a certificate come late, while the only turn is needed.
func TestCallbackThatWaitsHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	var calls atomic.Int32
	c := testConfig().Clone()
	cert := c.Certificates[0]
	c.Certificates = nil
	wait := func(call int32) {
		if calls.Add(1) == call {
			<-release
		}
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { wait(1); return nil, nil }
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { wait(5); return &cert, nil }
	server, client := newLayer(Config{TLS: c, Processors: 1}), newLayer(Config{TLS: testConfig()})
	slow := newPeers(server, client)
	slow.until(t, func() bool { return calls.Load() == 1 })
	if _, _, err := connect(server, client); err != nil { // calls 2 and 3
		t.Error(err)
	}
	slower := newPeers(server, client)
	slower.until(t, func() bool { return calls.Load() == 5 })
	if _, _, err := connect(server, client); err != nil {
		t.Error(err)
	}
	close(release)
	for _, p := range []*peers{slow, slower} {
		p.until(t, func() bool { done, err := p.server.Done(); return done && err == nil })
	}
}

// TestCanceledAnywhere cancels handshakes after each number of bytes.
func TestCanceledAnywhere(t *testing.T) {
	for limit := 0; ; limit += 97 {
		server, client := newLayer(Config{TLS: testConfig()}), newLayer(Config{TLS: testConfig()})
		p := newPeers(server, client)
		sent, complete := 0, false
		p.until(t, func() bool {
			sDone, _ := p.server.Done()
			complete = sDone
			sent = server.held.bytes()
			return sDone || sent >= limit
		})
		p.server.Cancel(io.EOF)
		p.client.ReadClosed()
		p.client.Cancel(io.EOF)
		if complete {
			break
		}
		waitFor(t, func() bool { return idle(server) && idle(client) })
	}
}

// TestPeerLeaves has a peer send its FIN before, and in the middle of, its part.
func TestPeerLeaves(t *testing.T) {
	l := newLayer(Config{TLS: testConfig()})
	h := l.server(nil, nil, func() {})
	h.ReadClosed()
	if done, err := h.Done(); !done || err != io.EOF {
		t.Errorf("done %t, error %v", done, err)
	}
	h = l.server(nil, nil, func() {})
	h.Feed(hello(t))
	h.ReadClosed()
	waitFor(t, func() bool { done, err := h.Done(); return done && err != nil })
	waitFor(t, func() bool { return idle(l) })
}

// TestLoopsRunBetweenHandshakes: a goroutine that is woken takes over the time slice of the one
// that wakes it. So handshakes that gave their turn to the next one kept a loop from running for as
// long as the scheduler permits, which is ten milliseconds and more.
func TestLoopsRunBetweenHandshakes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const handshakes = 200
	l := newLayer(Config{TLS: testConfig()})
	l.pool.running = 1 // the only turn is taken
	b := hello(t)
	for range handshakes {
		h := l.server(nil, nil, func() {})
		h.Feed(b)
		defer h.Cancel(io.EOF)
	}
	l.pool.mu.Lock()
	l.pool.running = 0
	l.pool.dispatch()
	l.pool.mu.Unlock()
	most := 0
	for last := 1; last < handshakes; {
		runtime.Gosched() // as a loop does before it waits for events
		l.pool.mu.Lock()
		begun := l.pool.begun
		l.pool.mu.Unlock()
		most = max(most, begun-last)
		last = begun
	}
	if most > 3 {
		t.Errorf("%d handshakes have begun while this goroutine was ready", most)
	}
}

// TestGatheringIsCheap: a connection that has not sent a whole ClientHello needs no tls.Conn.
func TestGatheringIsCheap(t *testing.T) {
	const handshakes = 1000
	l := newLayer(Config{TLS: testConfig()})
	all := make([]*handshake, handshakes)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range all {
		all[i] = l.server(nil, nil, func() {})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := (int(after.HeapAlloc) - int(before.HeapAlloc)) / handshakes; n > 1000 {
		t.Errorf("%d bytes each", n)
	}
	for _, h := range all {
		h.Cancel(io.EOF)
	}
}
