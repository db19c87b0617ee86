package websocket

import (
	"math"
	"testing"
	"time"
)

// TestRateOfExtremes: rates and messages that are too large or too small for a Duration do not turn
// into their opposite.
func TestRateOfExtremes(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit limit
		n     int
		over  bool // after a message of n, another one has to wait
	}{
		{"one in ages", newLimit(1e-12, 0), 1, true},
		{"smallest", newLimit(math.SmallestNonzeroFloat64, 1), 1, true},
		{"largest", newLimit(math.MaxFloat64, 0), 1, false},
		{"infinite", newLimit(math.Inf(1), 0), 1, false},
		{"large message", newLimit(1e-3, 1), math.MaxInt32, true},
		{"large burst", newLimit(1, math.MaxInt64), 1000, false},
	} {
		var b bucket
		now := time.Hour
		for range 3 {
			test.limit.take(&b, test.n, now)
		}
		if got := test.limit.over(b, test.n, now) > 0; got != test.over {
			t.Errorf("%s: it has to wait: %v, for %v", test.name, got, test.limit.over(b, test.n, now))
		}
	}
	if (&Rate{Messages: math.NaN()}).check() == nil {
		t.Error("a rate may be not a number")
	}
}
