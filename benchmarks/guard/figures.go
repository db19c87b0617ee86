//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

// figure is a figure that is guarded. Less is better.
type figure struct {
	name   string  // also in history.csv
	target float64 // promised for a machine that does nothing else
	bound  float64 // the target plus the noise of a machine that others use too
}

// row is what one run measures.
type row struct {
	figures []figure
	once    bool // measure only in the first round: the figures are not times, and hardly vary
	measure func(ctx context.Context, b *bench) ([]float64, error)
}

// table has all guarded figures. "Over the floor" is the server's CPU time per message divided by
// that of the floor, which echoes as many bytes over TCP. Myriad serves with one loop on its own
// processor. 100x128Bx16 is 100 connections with 16 messages of 128 bytes in flight on each.
//
// On a shared machine such a ratio varies by about a tenth. It varies more with 16 messages in
// flight, where system calls are a smaller part of it, and with 64 KiB, where memory is the largest
// part: with ten busy processes on two processors, medians were up to 1.28 and 1.20. Counted
// figures are the same everywhere, except for a garbage collection or a page more or less.
var table = []row{
	overFloor("myriad-tcp", figure{"tcpecho 100x32B over the floor", 1.03, 1.20},
		load.Config{Conns: 100, Size: 32}),
	overFloor("myriad", figure{"wsecho 100x32B over the floor", 1.06, 1.25},
		load.Config{Conns: 100, Size: 32}),
	overFloor("myriad", figure{"wsecho 100x128Bx16 over the floor", 1.10, 1.45},
		load.Config{Conns: 100, Size: 128, InFlight: 16}),
	overFloor("myriad", figure{"wsecho 50x64KiB over the floor", 1.00, 1.30},
		load.Config{Conns: 50, Size: 64 << 10}),

	idle("myriad-tcp", figure{"tcpecho RSS bytes per idle connection", 192, 230}),
	idle("myriad", figure{"wsecho RSS bytes per idle connection", 350, 400}),

	// These are counted by wsserver, which echoes such messages as wsecho does. The bytes are what
	// Go's runtime allocated. Sending the figures takes less than one per message; one allocation
	// in every fourth message would be at least two. System calls are the engine's count of its
	// reads, writes and turns, each of which polls at least once. TestCalls shows that the kernel
	// sees the same.
	counts(load.Config{Conns: 100, Size: 32},
		figure{"wsecho 100x32B allocated bytes per message", 1, 2},
		figure{"wsecho 100x32B system calls per message", 2.1, 2.3}),
	counts(load.Config{Conns: 100, Size: 128, InFlight: 16},
		figure{"wsecho 100x128Bx16 allocated bytes per message", 1, 2},
		figure{"wsecho 100x128Bx16 system calls per message", 0.15, 0.3}),
}

// checked is a figure and the measured value.
type checked struct {
	figure
	value   float64
	skipped string // why there is no value
}

func (c checked) over() bool { return c.skipped == "" && c.value > c.bound }

// check measures the table in rounds, and measures again what is over its bound.
func check(ctx context.Context, b *bench, table []row, rounds, again int) (all []checked, err error) {
	values := make([][][]float64, len(table)) // by row, by round
	skipped := make([]string, len(table))
	for round := range rounds {
		for i, r := range table {
			if skipped[i] != "" || r.once && round > 0 {
				continue
			}
			progress("round %d of %d: %s", round+1, rounds, r.figures[0].name)
			v, err := r.measure(ctx, b)
			if skip, ok := err.(leftOut); ok {
				skipped[i] = string(skip)
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", r.figures[0].name, err)
			} else {
				values[i] = append(values[i], v)
			}
		}
	}
	for i, r := range table {
		results := conclude(r, values[i], skipped[i])
		if slices.ContainsFunc(results, checked.over) {
			progress("%s: over the bound; again, in %d rounds", r.figures[0].name, again)
			values[i] = nil
			for range again {
				v, err := r.measure(ctx, b)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", r.figures[0].name, err)
				}
				values[i] = append(values[i], v)
			}
			results = conclude(r, values[i], "")
		}
		all = append(all, results...)
	}
	progress("")
	return all, nil
}

// conclude takes the median of each figure of a row.
func conclude(r row, values [][]float64, skipped string) (results []checked) {
	for i, f := range r.figures {
		c := checked{figure: f, skipped: skipped}
		if skipped == "" {
			var of []float64
			for _, v := range values {
				of = append(of, v[i])
			}
			c.value = median(of)
		}
		results = append(results, c)
	}
	return results
}

// median returns the lower of two medians, because noise only adds.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

// write writes a table, and reports whether any figure is over its bound.
func write(w io.Writer, all []checked) (over bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tvalue\ttarget\tbound\t")
	for _, c := range all {
		value, verdict := fmt.Sprintf("%.4g", c.value), "ok"
		switch {
		case c.skipped != "":
			value, verdict = "-", "left out: "+c.skipped
		case c.over():
			verdict, over = "OVER THE BOUND", true
		case c.value > c.target:
			verdict = "ok, over the target"
		}
		fmt.Fprintf(t, "%s\t%s\t%.4g\t%.4g\t%s\n", c.name, value, c.target, c.bound, verdict)
	}
	t.Flush()
	return over
}
