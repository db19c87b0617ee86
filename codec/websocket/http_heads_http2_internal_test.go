package websocket

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// asking is a connection of HTTP/2 whose peer asks without end, with the same head each time. It
// takes everything.
type asking struct {
	endless
	begin string
	frame []byte // HEADERS
	next  []byte // of frame
	sent  bool
	asked *atomic.Int64
	over  *atomic.Bool
}

func (a *asking) Read(p []byte) (n int, err error) {
	switch {
	case a.over.Load():
		return 0, net.ErrClosed
	case a.begin != "":
		n = copy(p, a.begin)
		a.begin = a.begin[n:]
		return n, nil
	case len(a.next) == 0: // the last one is decoded
		if a.sent {
			a.asked.Add(1)
		}
		a.sent = true
		id := a.frame[5:9]
		binary.BigEndian.PutUint32(id, binary.BigEndian.Uint32(id)+2)
		a.next = a.frame
	}
	n = copy(p, a.next)
	a.next = a.next[n:]
	return n, nil
}

func (*asking) Close() error                     { return nil }
func (*asking) SetDeadline(time.Time) error      { return nil }
func (*asking) SetReadDeadline(time.Time) error  { return nil }
func (*asking) SetWriteDeadline(time.Time) error { return nil }
func (*asking) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*asking) LocalAddr() net.Addr              { return &net.TCPAddr{} }

// TestLargeHeadsOfHTTP2LetOthersRun: net/http decodes a head of 32 KiB at once, in a millisecond if
// each two bytes of it change the table. With 250 connections a loop had its turn after 0.3 to 0.6
// s.
func TestLargeHeadsOfHTTP2LetOthersRun(t *testing.T) {
	const peers, size = 32, 32_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := &Server{Handler: http.NotFoundHandler()}
	if _, err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	f, err := s.fallback(e)
	if err != nil {
		t.Fatal(err)
	}
	f.turns.longest = time.Hour // on a slow machine decoding takes longer
	const field = "\x50\x00"    // accept-encoding without a value, for the table
	frame := string([]byte{0, size >> 8, size & 255, http2Headers, 5, 255, 255, 255, 255}) +
		"\x82\x87\x84\x41\x01a" + strings.Repeat(field, (size-6)/len(field))
	var asked atomic.Int64
	var over atomic.Bool
	var open sync.WaitGroup
	for range peers {
		open.Add(1)
		a := &asking{begin: HTTP2Begin, frame: []byte(frame), asked: &asked, over: &over}
		f.http2.Serve(&single{c: newHTTP2Conn(a, nil, netip.Prefix{}, f.turns, open.Done)})
	}
	most, last := int64(0), int64(0)
	for end := time.Now().Add(time.Minute); last < 2*peers; {
		if time.Now().After(end) {
			t.Fatalf("%d heads", last)
		}
		runtime.Gosched()
		now := asked.Load()
		most, last = max(most, now-last), now
	}
	over.Store(true)
	open.Wait()
	if most > peers/4 {
		t.Errorf("another goroutine has waited for %d heads of %d peers", most, peers)
	}
	if n := len(f.turns.taken); n > 0 {
		t.Errorf("%d turns that nobody will end", n)
	}
}

func TestHTTP2HeadsAreFoundHoweverTheyAreSplit(t *testing.T) {
	frame := func(kind byte, size int) string {
		return string([]byte{0, byte(size >> 8), byte(size), kind, 0, 0, 0, 0, 1}) + strings.Repeat("\x01", size)
	}
	sent := HTTP2Begin
	var want []int // where large heads end
	for _, f := range []struct {
		kind  byte
		size  int
		large bool
	}{
		{kind: http2Headers, size: largeHead, large: true},
		{kind: http2Headers, size: largeHead - 1},
		{kind: http2Headers},
		{kind: 0, size: 2000},
		{kind: http2Headers, size: 3000, large: true},
		{kind: http2Continuation, size: 600, large: true},
		{kind: 0},
		{kind: 8, size: 4},
	} {
		if sent += frame(f.kind, f.size); f.large {
			want = append(want, len(sent))
		}
	}
	for _, step := range []int{1, 2, 9, 10, 100, 1000, len(sent)} {
		h := newHTTP2Heads()
		ends := 0
		for from := 0; from < len(sent); from += step {
			to := min(from+step, len(sent))
			inside := 0
			for _, at := range want {
				if at > from && at <= to {
					inside++
				}
			}
			if got := h.ends([]byte(sent[from:to])); got != (inside > 0) {
				t.Fatalf("step %d, bytes %d to %d: %v", step, from, to, got)
			}
			ends += inside
		}
		if ends != len(want) {
			t.Errorf("step %d: %d heads", step, ends)
		}
	}
}

// TestHTTP2TurnOfAClosedConnectionEnds: net/http reads no more then.
func TestHTTP2TurnOfAClosedConnectionEnds(t *testing.T) {
	turns := http2Turns{make(chan struct{}, 1), time.Hour}
	before, behind := http2Turn{turns: turns}, http2Turn{turns: turns}
	before.take()
	before.close()
	behind.close()
	behind.take() // the connection is closed while it waits
	if len(turns.taken) > 0 {
		t.Error("a turn that nobody will end")
	}
	before.leave()
	behind.leave()
}

// TestHTTP2TurnEndsWithoutAnotherRead: net/http reads no more behind a head that it cannot decode.
func TestHTTP2TurnEndsWithoutAnotherRead(t *testing.T) {
	taken := make(chan struct{}, 1)
	bad := http2Turn{turns: http2Turns{taken, longestTurn}}
	good := http2Turn{turns: http2Turns{taken, time.Hour}}
	bad.take()
	took := make(chan struct{})
	go func() {
		good.take()
		close(took)
	}()
	select {
	case <-took:
	case <-time.After(10 * time.Second):
		t.Fatal("others wait for ever")
	}
	bad.leave() // it has none any more
	if len(taken) != 1 {
		t.Error("it has ended the turn of another one")
	}
	good.leave()
}
