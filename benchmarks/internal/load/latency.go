package load

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the longest time that a histogram can hold, in nanoseconds: an hour.
const longest = 3600e9

// newHistogram makes a histogram of nanoseconds with three significant digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// record adds a time in nanoseconds.
func record(h *hdrhistogram.Histogram, ns int64) { recordAll(h, ns, 1) }

// recordAll adds a time n times.
func recordAll(h *hdrhistogram.Histogram, ns int64, n int) {
	h.RecordValues(min(max(ns, 0), longest), int64(n))
}

// latencyOf summarizes a histogram.
func latencyOf(h *hdrhistogram.Histogram) (Latency, error) {
	const us = 1e3
	l := Latency{Count: h.TotalCount()}
	if l.Count == 0 {
		return l, nil
	}
	hist, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return l, fmt.Errorf("load: histogram: %w", err)
	}
	at := func(percentile float64) float64 { return float64(h.ValueAtQuantile(percentile)) / us }
	l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max = h.Mean()/us, at(50), at(90), at(99), at(99.9), float64(h.Max())/us
	l.Hist = string(hist)
	return l, nil
}
