package report

import (
	"encoding/base64"
	"fmt"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// percentilesFigure draws distributions of latency over percentiles. Each further nine has the same
// room on the axis.
func percentilesFigure(s *results.Set, row results.Row) figure {
	f := figure{name: "latency-" + row.Name(), row: row, kind: row.Kind}
	colors := inks(s)
	var list []curve
	for _, v := range s.Servers(row) {
		if v.Protocol != "ws" && v.Role != results.Floor {
			continue
		}
		if h := merged(s, row, v.Name); h != nil {
			list = append(list, curve{name: v.Name, role: v.Role, ink: colors[v.Name], points: quantiles(h)})
		}
	}
	if len(list) == 0 {
		return f
	}
	f.alt = "Latency by percentile, " + row.Title()
	f.plot = curvePlot(row.Title(), "percentile", "latency", list)
	f.plot.X.Scale, f.plot.X.Tick.Marker = plot.LogScale{}, nines{}
	f.plot.Y.Scale, f.plot.Y.Tick.Marker = plot.LogScale{}, decades{label: axisTime}
	return f
}

// merged returns the histogram of all rounds without a fault, or nil if there is none.
func merged(s *results.Set, row results.Row, server string) *hdrhistogram.Histogram {
	var all *hdrhistogram.Histogram
	for _, c := range s.Cells(row, server) {
		if c.Fault() != "" || c.Result.Latency.Hist == "" {
			continue
		}
		h, err := decode(&c.Result.Latency)
		if err != nil {
			continue // the tables still have its percentiles
		}
		if all == nil {
			all = h
		} else {
			all.Merge(h)
		}
	}
	return all
}

func decode(l *load.Latency) (*hdrhistogram.Histogram, error) {
	if _, err := base64.StdEncoding.DecodeString(l.Hist); err != nil {
		return nil, err
	}
	return hdrhistogram.Decode([]byte(l.Hist))
}

// quantiles returns points of 1/(1-p) and microseconds, as long as ten values are above.
func quantiles(h *hdrhistogram.Histogram) plotter.XYs {
	var pts plotter.XYs
	last := max(float64(h.TotalCount())/10, 10)
	for step := 0.0; ; step++ {
		x := math.Pow(10, step/20) // 1/(1-p)
		if x > last {
			return pts
		}
		ns := h.ValueAtQuantile(100 * (1 - 1/x))
		pts = append(pts, plotter.XY{X: x, Y: float64(max(ns, 1)) / 1000})
	}
}

// nines is a Ticker for an axis of 1/(1-p).
type nines struct{}

// Ticks implements plot.Ticker.
func (nines) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	for _, t := range []plot.Tick{{Value: 2, Label: "50"}, {Value: 10, Label: "90"}, {Value: 100, Label: "99"},
		{Value: 1e3, Label: "99.9"}, {Value: 1e4, Label: "99.99"}, {Value: 1e5, Label: "99.999"}} {
		if t.Value >= lo*0.999 && t.Value <= hi*1.001 {
			t.Label += " %"
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// axisTime formats a round number of microseconds.
func axisTime(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%s s", trim(us/1e6))
	case us >= 1e3:
		return fmt.Sprintf("%s ms", trim(us/1e3))
	}
	return fmt.Sprintf("%s µs", trim(us))
}
