package main

import "fmt"

// pauseBucket counts stops of the world that took up to AtMost seconds.
type pauseBucket struct {
	AtMost float64 `json:"at_most_seconds"`
	Count  int     `json:"count"`
}

// pauses returns the stops of the world since the first connection, the shortest first. Old results
// have no histogram, and no pauses.
func (r result) pauses() (since []pauseBucket) {
	before := map[float64]int{}
	for _, b := range r.Before.Server.Go.PauseHistogram {
		before[b.AtMost] = b.Count
	}
	for _, b := range r.After.Server.Go.PauseHistogram {
		if b.Count -= before[b.AtMost]; b.Count > 0 {
			since = append(since, b)
		}
	}
	return since
}

// longestPause formats the longest of pauses.
func (r result) longestPause() string {
	if len(r.After.Server.Go.PauseHistogram) == 0 {
		return "–"
	}
	pauses := r.pauses()
	if len(pauses) == 0 {
		return "none"
	}
	return microseconds(pauses[len(pauses)-1].AtMost)
}

// medianPause formats the median of pauses.
func (r result) medianPause() string {
	total, seen := 0, 0
	for _, b := range r.pauses() {
		total += b.Count
	}
	for _, b := range r.pauses() {
		if seen += b.Count; 2*seen >= total {
			return microseconds(b.AtMost)
		}
	}
	return "–"
}

func microseconds(seconds float64) string { return fmt.Sprintf("%.0f µs", seconds*1e6) }
