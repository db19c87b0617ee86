package websocket

import (
	"testing"
	"time"
)

func TestRefusalLogCounts(t *testing.T) {
	var l refusalLog
	begin := time.Now()
	for _, test := range []struct {
		after time.Duration
		count int // 0: not logged
	}{{0, 1}, {1, 0}, {refusalInterval - 1, 0}, {refusalInterval, 3}, {refusalInterval + 1, 0},
		{5 * refusalInterval, 2}} {
		if n, ok := l.due(begin.Add(test.after)); n != test.count || ok != (n > 0) {
			t.Errorf("after %v: %d, %v; want %d", test.after, n, ok, test.count)
		}
	}
}
