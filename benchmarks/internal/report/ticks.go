package report

import (
	"math"

	"gonum.org/v1/plot"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// roundTicks is a Ticker for a linear axis, with at most n steps of 1, 2 or 5 times a power of ten.
type roundTicks struct{ n int }

// Ticks implements plot.Ticker.
func (t roundTicks) Ticks(lo, hi float64) []plot.Tick {
	if hi <= lo {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(t.n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*f) <= float64(t.n) {
			step *= f
			break
		}
	}
	var ticks []plot.Tick
	for v := math.Ceil(lo/step) * step; v <= hi*1.0001; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: short(v)})
	}
	return ticks
}

// short formats a round number: 0.5, 20, 150k, 2M.
func short(v float64) string {
	for _, u := range []struct {
		size float64
		unit string
	}{{1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.size*10 || math.Abs(v) >= u.size && u.unit == "M" {
			return trim(v/u.size) + u.unit
		}
	}
	return trim(v)
}

func trim(v float64) string {
	v = math.Round(v*1000) / 1000
	if v == math.Trunc(v) {
		return results.Count(v)
	}
	s := []byte(results.Figure(v))
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return string(s)
}

// decades is a Ticker for a logarithmic axis, at 1, 2 and 5 times the powers of ten, or only at the
// powers if there are many.
type decades struct{ label func(float64) string }

// Ticks implements plot.Ticker.
func (t decades) Ticks(lo, hi float64) []plot.Tick {
	factors := []float64{1, 2, 5}
	if hi/lo > 200 {
		factors = factors[:1]
	}
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for _, f := range factors {
			if v := f * math.Pow(10, e); v >= lo*0.999 && v <= hi*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: t.label(v)})
			}
		}
	}
	return ticks
}
