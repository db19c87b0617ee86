package soak

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestSoak runs generations: engines that serve peers of every kind and then end, each in another
// way. No peer may see a wrong byte, or an error that it has not asked for before the end has
// begun. After each generation goroutines, descriptors and heap are back at what they were after
// the warm-up, and nobody holds the engine.
//
// MYRIAD_SOAK is how long it goes on, such as 1h. Default: one short generation for each way to
// end.
// MYRIAD_SEED sets the seed of what the peers do.
func TestSoak(t *testing.T) {
	var least time.Duration
	if s := os.Getenv("MYRIAD_SOAK"); s != "" {
		var err error
		if least, err = time.ParseDuration(s); err != nil {
			t.Fatalf("MYRIAD_SOAK: %v", err)
		}
	}
	w := newWorld(t)
	if least > 0 {
		w.longest = 4 * time.Second
	}
	defer w.close()
	began := time.Now()
	var before *trace
	n := 0
	for ; n < len(ends) || time.Since(began) < least; n++ {
		rng := rand.New(rand.NewPCG(w.seed, uint64(n)))
		g := newGeneration(w, n, rng.Uint64())
		gone := g.run(ends[n%len(ends)])
		if g = nil; t.Failed() {
			return
		}
		w.rest()
		if n < warmUp-1 {
			continue
		}
		if before == nil {
			before = take()
			continue
		}
		if left := before.compare(gone); left != "" {
			t.Fatalf("generation %d, which ended by %s, has left something behind:\n%s", n, ends[n%len(ends)].name,
				left)
		}
	}
	t.Logf("%d generations in %v, seed %d: %s", n, time.Since(began).Round(time.Second), w.seed, w.counts())
	if least < time.Minute {
		return
	}
	for _, what := range w.unseen() {
		t.Errorf("no %s: the soak tests less than it seems", what)
	}
}

// warmUp is how many generations fill pools and caches before the trace is taken that later ones
// are compared with.
const warmUp = 2
