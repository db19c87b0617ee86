package tlslayer

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// updates returns n KeyUpdates, each with data of one byte behind it, so that none is one too many.
func (r *records) updates(n int, request byte) (b []byte) {
	for range n {
		b = r.updateKey(b, request)
		b = r.craft(b, typeData, []byte{7}, 0)
	}
	return b
}

// TestKeyUpdatesAreWork: a read of 260 KiB may have five thousand KeyUpdates, which took 58 ms and
// counted as nothing but their bytes.
func TestKeyUpdatesAreWork(t *testing.T) {
	const n = 1000
	for level, most := range map[int]int{1: 8 + standardBatch, 2: 8} {
		tw := newTwins(t, suiteConfig(0), true)
		s := layer.Stream(tw.level2)
		if level == 1 {
			s = tw.level1
		}
		r := receiver{stream: s}
		r.buf = tw.peer.updates(n, 0)
		for more := true; more; {
			before, work := len(r.got), 0
			r.open()
			opened := len(r.got) - before
			if work, more = s.Work(); opened > most || work < (opened-1)*updateWork {
				t.Fatalf("level %d: %d KeyUpdates in one Open, work %d", level, opened, work)
			}
		}
		if r.err != nil || !bytes.Equal(r.got, bytes.Repeat([]byte{7}, n)) || len(r.buf) != 0 {
			t.Errorf("level %d: %d bytes of %d, %d left, error %v", level, len(r.got), n, len(r.buf), r.err)
		}
		if r.opens < n/most {
			t.Errorf("level %d: %d Opens", level, r.opens)
		}
	}
}

// TestKeyUpdatesTakeTurns: a connection that got nothing but KeyUpdates kept its loop from all
// others. Another connection has its turns between them, and the data comes whole, with the end.
func TestKeyUpdatesTakeTurns(t *testing.T) {
	const n = 2000
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		turns := &turnCounter{ended: make(chan struct{})}
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol { turns.conn = c; return turns })
		nc, r := rawDial(t, addr)
		b := r.updates(n, 0)
		if _, err := nc.Write(r.SealEnd(b)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-turns.ended:
		case <-time.After(20 * time.Second):
			t.Fatal("the end does not come")
		}
		if turns.bytes != n || turns.turns < n/(2*(8+standardBatch)) {
			t.Errorf("standard %t: %d bytes of %d in %d turns", standard, turns.bytes, n, turns.turns)
		}
	}
}

// turnCounter counts bytes, and the turns that they take.
type turnCounter struct {
	conn         *engine.Conn
	bytes, turns int
	posted       bool
	ended        chan struct{}
}

func (p *turnCounter) Feed(src []byte) (int, error) {
	p.bytes += len(src)
	if !p.posted { // it runs in the next turn
		p.posted = true
		p.conn.Handle().Post(func(*engine.Conn) { p.posted = false; p.turns++ })
	}
	return len(src), nil
}

func (p *turnCounter) ReadClosed()  { p.conn.Close() }
func (p *turnCounter) Closed(error) { close(p.ended) }

// rawDial does the handshake of a client on a socket, and returns what seals any record for it.
func rawDial(t *testing.T, addr string) (net.Conn, *records) {
	t.Helper()
	nc := must(net.Dial("tcp", addr))
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	l := newLayer(Config{TLS: testConfig()})
	notified := make(chan struct{}, 100)
	h := l.client(l.config.TLS, nil, nil, func() { notified <- struct{}{} })
	buf := make([]byte, maxFed)
	for {
		<-notified
		nc.Write(h.Output(nil)) // an error shows below
		if done, err := h.Done(); done {
			if err != nil {
				t.Fatal(err)
			}
			s, _, _ := h.take(newLoop(2, 2))
			return nc, s.(*records)
		}
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		h.Feed(buf[:n])
	}
}

// TestKeyUpdatesOfAReleasedConnection: what Open leaves for another turn is not left behind.
func TestKeyUpdatesOfAReleasedConnection(t *testing.T) {
	const n = 100
	for _, standard := range []bool{false, true} {
		tw := newTwins(t, suiteConfig(0), true)
		s := layer.Stream(tw.level2)
		if standard {
			s = tw.level1
		}
		ours, theirs := net.Pipe()
		nc := s.NetConn(ours, tw.peer.SealEnd(tw.peer.updates(n, 0)), nil)
		theirs.Close()
		if got, err := io.ReadAll(nc); err != nil || len(got) != n {
			t.Errorf("standard %t: %d bytes of %d, error %v", standard, len(got), n, err)
		}
		nc.Close()
	}
}

// TestAnswersToKeyUpdatesAreLimited: with crypto/tls, a peer that asked for KeyUpdates and did not
// read made its answers grow without limit.
func TestAnswersToKeyUpdatesAreLimited(t *testing.T) {
	tw := newTwins(t, suiteConfig(0), true)
	r := receiver{stream: tw.level1}
	r.feed(tw.peer.updates(1000, 1))
	if n := len(tw.level1.wire.out); r.err != errTooManyAnswers || n > 2*maxAnswers {
		t.Errorf("%d bytes of answers wait, error %v", n, r.err)
	}
	if r.feed(tw.peer.updates(1, 1)); len(tw.level1.SealEnd(nil)) > 2*maxAnswers || tw.level1.Pending() {
		t.Error("something more is answered")
	}
}

// TestPartialMessageCountsAsHeld: the beginning of a handshake message held 64 KiB per connection
// outside of Config.MaxBuffered.
func TestPartialMessageCountsAsHeld(t *testing.T) {
	for _, c := range []struct {
		name     string
		standard bool
		server   bool
		tickets  bool // the tls.Conn of the handshake sees them
		least    int
		most     int
	}{
		{name: "server", server: true, most: 32},
		{name: "server, standard", server: true, standard: true, least: 48 << 10, most: 96 << 10},
		{name: "client", least: 48 << 10, most: 96 << 10},
		{name: "client, standard", standard: true, least: 48 << 10, most: 96 << 10},
		{name: "client, tickets", tickets: true, least: 96 << 10, most: 192 << 10},
	} {
		tw := newTwins(t, suiteConfig(0), c.server)
		tw.level2.extra = nil
		if c.tickets {
			tw.level2.extra = &extra{tickets: tw.level1}
		}
		s := layer.Stream(tw.level2)
		if c.standard {
			s = tw.level1
		}
		r := receiver{stream: s}
		r.feed(tw.peer.fragments(messageNewSessionTicket))
		if n := s.Held(); n < c.least || n > c.most {
			t.Errorf("%s: %d bytes are held, want %d to %d", c.name, n, c.least, c.most)
		}
		if s.Close(); s.Held() != 0 {
			t.Errorf("%s: %d bytes are held after Close", c.name, s.Held())
		}
	}
}

// TestPartialMessageIsInTheBudget: see TestPartialMessageCountsAsHeld.
func TestPartialMessageIsInTheBudget(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: true},
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	nc, r := rawDial(t, addr)
	held := func(want func(int) bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			n := must(e.Stats(t.Context())).Held
			if want(n) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are held", n)
			}
		}
	}
	nc.Write(r.fragments(messageNewSessionTicket))
	held(func(n int) bool { return n > 48<<10 })
	nc.Close()
	held(func(n int) bool { return n == 0 })
}

// TestTinyRecordsAreWork: a read of 260 KiB may have ten thousand records of a byte each, which
// counted as nothing but their bytes.
func TestTinyRecordsAreWork(t *testing.T) {
	const n, most = 5000, maxWork/recordWork + standardBatch
	for _, suite := range testSuites {
		for level := 1; level <= 2; level++ {
			tw := newTwins(t, suiteConfig(suite.id), true)
			s := layer.Stream(tw.level2)
			if level == 1 {
				s = tw.level1
			}
			r := receiver{stream: s}
			for range n {
				r.buf = tw.peer.craft(r.buf, typeData, []byte{7}, 0)
			}
			for more := true; more; {
				before, work := len(r.got), 0
				r.open()
				opened := len(r.got) - before
				if work, more = s.Work(); opened > most || work < opened*recordWork {
					t.Fatalf("%s, level %d: %d records in one Open, work %d", suite.name, level, opened, work)
				}
			}
			if r.err != nil || !bytes.Equal(r.got, bytes.Repeat([]byte{7}, n)) || len(r.buf) != 0 {
				t.Errorf("%s, level %d: %d bytes of %d, %d left, error %v", suite.name, level, len(r.got), n,
					len(r.buf), r.err)
			}
		}
	}
}
