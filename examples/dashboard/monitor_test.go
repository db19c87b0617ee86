package main

import (
	"context"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/engine"
)

// TestNobodyWatches: who has left is not remembered, so that the engine is asked only while somebody watches.
func TestNobodyWatches(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := newMonitor(eng, 0)
	ln, err := eng.Listen("tcp", "127.0.0.1:0", newServer(m).Accept)
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(t.Context())
	defer eng.Close()
	c, _, _, err := ws.Dial(context.Background(), "ws://"+ln.String()+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if hello, err := wsutil.ReadServerText(c); err != nil || !m.watched() {
		t.Errorf("%s, %v, watched: %v", hello, err, m.watched())
	}
	c.Close()
	for begin := time.Now(); m.watched(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("it still counts as watched")
		}
	}
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
