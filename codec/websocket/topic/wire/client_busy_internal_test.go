package wire

import (
	"testing"
	"time"
)

// TestBusyServerCostsOneTimer: a server that repeats that it is busy made a Client keep a timer for
// each time, for up to two seconds.
func TestBusyServerCostsOneTimer(t *testing.T) {
	busy := func(delay time.Duration) (repeat func(), l *link) {
		s := &Subscription{Topic: "news"}
		l = &link{kick: make(chan struct{}, 1)}
		c := &Client{subscriptions: map[string]*Subscription{"news": s}, MinDelay: delay, link: l}
		s.begin()
		s.request()
		e := &event{kind: eventError, topic: []byte("news"), code: CodeBusy}
		return func() { c.handle(l, e) }, l
	}
	repeat, _ := busy(defaultMaxDelay)
	repeat()
	if n := testing.AllocsPerRun(100, repeat); n > 0 {
		t.Errorf("%.0f allocations for each time that it is repeated", n)
	}
	repeat, l := busy(time.Nanosecond)
	for range 3 {
		repeat()
		select {
		case <-l.kick:
		case <-time.After(10 * time.Second):
			t.Fatal("the server is not asked again")
		}
	}
}
