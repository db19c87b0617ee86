package wsproto

import (
	"testing"
	"time"
)

// TestMeter: ten seconds' worth at once is fine, and after that as many as have drained.
func TestMeter(t *testing.T) {
	// the last wraps around
	for _, start := range []time.Duration{0, time.Hour, 1<<32*meterUnit - 5*time.Second} {
		now := start
		m := NewMeter(now)
		count := func(n int) (refused int) {
			for range n {
				if m.Count(now, 100) != nil {
					refused++
				}
			}
			return refused
		}
		if n := count(1000); n != 0 {
			t.Errorf("from %v: %d of ten seconds' worth are refused", start, n)
		}
		if err, ok := m.Count(now, 100).(*ProtocolError); !ok || err.Code != PolicyViolation {
			t.Errorf("from %v: one more: %v", start, err)
		}
		m, now = NewMeter(start), start
		count(1000)
		for range 1000 {
			now += 10 * time.Millisecond
			if n := count(1); n != 0 {
				t.Fatalf("from %v: refused at the rate that is allowed", start)
			}
		}
		now += time.Minute
		if n := count(1001); n != 1 {
			t.Errorf("from %v: after a rest %d of 1,001 are refused", start, n)
		}
	}
	var m Meter
	for range 10_000 {
		if m.Count(0, 0) != nil || m.Count(0, -1) != nil {
			t.Fatal("there is no limit")
		}
	}
}
