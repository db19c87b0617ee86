package main

import (
	"bufio"
	"encoding/json"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/engine"
)

// start runs a dashboard without a load on two loops. It returns a function that connects as a page
// does.
func start(t *testing.T, patience time.Duration) (*monitor, func() net.Conn) {
	t.Helper()
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := newMonitor(eng, 0)
	m.patience = patience
	ln, err := eng.Listen("tcp", "127.0.0.1:0", newServer(m, "").Accept)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { eng.Run(t.Context()) })
	running.Go(func() { m.run(t.Context()) })
	t.Cleanup(running.Wait)
	return m, func() net.Conn {
		t.Helper()
		c, early, _, err := ws.Dial(t.Context(), "ws://"+ln.String()+"/ws")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if early != nil { // frames that came with the response
			return buffered{c, early}
		}
		return c
	}
}

// buffered is a connection from which something was read already.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func (m *monitor) watched() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.watchers) > 0
}

// TestNobodyWatches checks that a page that has left is forgotten, and that a new one gets what
// happened meanwhile.
func TestNobodyWatches(t *testing.T) {
	m, watch := start(t, time.Second)
	c := watch()
	if hello, err := wsutil.ReadServerText(c); err != nil || !m.watched() {
		t.Errorf("%s, %v, watched: %v", hello, err, m.watched())
	}
	c.Close()
	for begin := time.Now(); ; runtime.Gosched() {
		m.mu.Lock()
		points := len(m.history)
		m.mu.Unlock()
		if !m.watched() && points > 0 {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("watched: %v, %d points", m.watched(), points)
		}
	}
	var e event
	hello, err := wsutil.ReadServerText(watch())
	if err != nil || json.Unmarshal(hello, &e) != nil || len(e.History) == 0 || e.Sample == nil {
		t.Errorf("%s, %v", hello, err)
	}
}

// TestTrouble checks that pages on other loops are told that a loop is blocked, and get numbers
// again when it is not.
func TestTrouble(t *testing.T) {
	m, watch := start(t, 20*time.Millisecond)
	heard := make(chan string)
	for range 2 { // one on each loop
		c := watch()
		go func() {
			for b, err := wsutil.ReadServerText(c); err == nil; b, err = wsutil.ReadServerText(c) {
				var e event
				json.Unmarshal(b, &e)
				select {
				case heard <- e.Type:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	until := func(want string) {
		t.Helper()
		for late := time.After(10 * time.Second); ; {
			select {
			case got := <-heard:
				if got == want {
					return
				}
			case <-late:
				t.Fatalf("no %s", want)
			}
		}
	}
	until("sample")
	blocked := make(chan bool)
	unblock := sync.OnceFunc(func() { close(blocked) })
	t.Cleanup(unblock) // otherwise a failure would hang
	m.eng.Post(1, func() { <-blocked })
	until("trouble")
	unblock()
	until("sample")
}

func TestPoint(t *testing.T) {
	last := engine.LoopStats{Accepted: 10, Messages: 100, BytesRead: 1000, BytesWritten: 2000}
	last.Closed[engine.CausePeer], last.Lags[1] = 5, 7
	now := engine.LoopStats{Connections: 3, Accepted: 12, Dialed: 1, Messages: 200, BytesRead: 1500, BytesWritten: 2001}
	now.Closed[engine.CausePeer], now.Closed[engine.CauseReset], now.Lags[1], now.Lags[3] = 6, 1, 7, 100
	at := time.UnixMilli(1234)
	got := newPoint(&last, &now, 2*time.Second, at)
	want := point{Time: 1234, Connections: 3, Opened: 1.5, Closed: 1, Messages: 50, ReadBytes: 250, WrittenBytes: .5}
	want.Lags[3] = 100
	if got.P50 < got.P99/2 || got.P50 < engine.LagBound(2).Seconds() || got.P99 > engine.LagBound(3).Seconds() {
		t.Errorf("p50 %v, p99 %v", got.P50, got.P99)
	}
	got.P50, got.P99 = 0, 0
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSampleHasTheBusiestOfAllLoops(t *testing.T) {
	var seen engine.Inspection
	for loop := range 2 {
		l := engine.LoopInspection{}
		for i := range maxBusiest {
			l.Busiest = append(l.Busiest, engine.ConnInspection{Read: uint64(100 - 10*i + loop)})
		}
		seen.Loops = append(seen.Loops, l)
	}
	stats := engine.Stats{Loops: make([]engine.LoopStats, 2)}
	s := newSample(stats, stats, seen, time.Second, time.Now())
	if len(s.Loops) != 2 || len(s.Stats.Loops) != 2 || len(s.Busiest) != maxBusiest {
		t.Fatalf("%+v", s)
	}
	for i, c := range s.Busiest {
		if want := uint64(100 - i/2*10 + 1 - i%2); c.ReadBytes != want || c.Loop != 1-i%2 {
			t.Errorf("number %d has moved %d bytes on loop %d, want %d", i, c.ReadBytes, c.Loop, want)
		}
	}
}
