package engine

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver/sim"
	"github.com/myriadnet/myriad/engine/internal/paged"
)

// TestBusiestOfManyConnections: Inspect sorted all that had moved anything, which held up a loop
// for 420 ms if half a million had.
func TestBusiestOfManyConnections(t *testing.T) {
	e, err := NewOn(sim.New(sim.Config{Seed: 1}), Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := e.loops[0]
	l.traffic = new(paged.Array[traffic])
	var sums []uint64
	random := uint64(1)
	for range 500_000 {
		c := &Conn{loop: l, fd: -1}
		c.slot, c.gen = l.conns.Insert(c)
		random = random*6364136223846793005 + 1442695040888963407
		l.countTraffic(c, int(random>>40), 1)
		sums = append(sums, random>>40+1)
	}
	begin := time.Now()
	slices.SortFunc(sums, func(a, b uint64) int { return cmp.Compare(b, a) })
	sorting := time.Since(begin) // which is what it must not do
	for _, top := range []int{-1, 0, 1, 10, 1000} {
		best := time.Hour
		for range 3 {
			begin := time.Now()
			found := l.busiestSeen(top)
			best = min(best, time.Since(begin))
			if len(found) != max(top, 0) {
				t.Fatalf("%d connections, want %d", len(found), top)
			}
			for i, s := range found {
				if s.sum() != sums[i] {
					t.Fatalf("number %d of %d has moved %d bytes, want %d", i, top, s.sum(), sums[i])
				}
			}
		}
		if best > sorting*2/3 {
			t.Errorf("the top %d took %v, and to sort all %v", top, best, sorting)
		}
	}
}
