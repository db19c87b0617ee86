package driver_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// TestRotation: every batch has all of its events, and begins with each of them in turn, also if
// another batch comes between any two.
func TestRotation(t *testing.T) {
	for _, between := range []int{0, 1, 2, 9, 1024} {
		for n := range 20 {
			var r driver.Rotation
			first := make(map[int]bool)
			for range 4 * n {
				seen := make(map[int]bool)
				for r.Begin(n); r.Left() > 0; {
					i := r.Next()
					if len(seen) == 0 {
						first[i] = true
					}
					seen[i] = true
				}
				if len(seen) != n || seen[-1] || seen[n] {
					t.Fatalf("events %v of %d", seen, n)
				}
				if r.Begin(between); r.Left() != between {
					t.Fatalf("%d of %d are left", r.Left(), between)
				}
			}
			if len(first) != n {
				t.Errorf("%d events begin a batch of %d, with batches of %d between", len(first), n, between)
			}
		}
	}
}
