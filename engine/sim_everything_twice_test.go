package engine_test

import (
	"slices"
	"testing"
	"testing/synctest"
)

// TestSimulatedEverythingTwice: the same seed is the same run, whatever goroutines there are. Else
// no failure could be shrunk.
func TestSimulatedEverythingTwice(t *testing.T) {
	for seed := uint64(0); seed < 40; seed++ {
		var traces [2][]string
		for i := range traces {
			tr := &trial{seed: seed, trace: 500}
			synctest.Test(t, func(*testing.T) {
				if err := simulation(everything).run(tr); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			})
			traces[i] = tr.net.Trace()
		}
		if !slices.Equal(traces[0], traces[1]) {
			t.Errorf("seed %d: the second run differs", seed)
		}
	}
}
