package main

import "testing"

func TestPauses(t *testing.T) {
	start := []pauseBucket{{8e-6, 1}, {3e-3, 1}}
	for _, c := range []struct {
		name            string
		before, after   []pauseBucket
		longest, median string
	}{
		{"measured before there were histograms", nil, nil, "–", "–"},
		{"none since the start", start, start, "none", "–"},
		{"all at the start are left out", start, []pauseBucket{{8e-6, 1}, {20e-6, 2}, {3e-3, 1}}, "20 µs", "20 µs"},
		{"one as long as the longest at the start", start, []pauseBucket{{8e-6, 4}, {3e-3, 2}}, "3000 µs", "8 µs"},
		{"one longer than any", start, []pauseBucket{{8e-6, 1}, {3e-3, 1}, {5e-3, 1}}, "5000 µs", "5000 µs"},
		{"half are shorter", nil, []pauseBucket{{1e-6, 2}, {2e-6, 1}, {4e-6, 1}}, "4 µs", "1 µs"},
		{"less than half are shorter", nil, []pauseBucket{{1e-6, 2}, {2e-6, 1}, {4e-6, 2}}, "4 µs", "2 µs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r result
			r.Before.Server.Go.PauseHistogram, r.After.Server.Go.PauseHistogram = c.before, c.after
			if longest, median := r.longestPause(), r.medianPause(); longest != c.longest || median != c.median {
				t.Errorf("longest %s, median %s; want %s, %s", longest, median, c.longest, c.median)
			}
		})
	}
}
