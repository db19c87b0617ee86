package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// progress shows the progress of a run: a bar on a terminal, else a line per cell.
type progress struct {
	w        io.Writer
	plan     *plan
	bar      *progressbar.ProgressBar // nil: lines
	total    time.Duration
	past     time.Duration // part of total that is done
	began    time.Time
	cells, n int
}

func newProgress(f *os.File, p *plan, todo []cell) *progress {
	g := &progress{w: f, plan: p, total: p.cost(todo), began: time.Now(), cells: len(todo)}
	if term.IsTerminal(int(f.Fd())) {
		g.bar = progressbar.NewOptions64(int64(g.total), progressbar.OptionSetWriter(f),
			progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return g
}

// left estimates how long the rest takes, by the time that the cells so far have taken.
func (g *progress) left() time.Duration {
	pace := 1.0
	if g.past > 0 {
		pace = float64(time.Since(g.began)) / float64(g.past)
	}
	return time.Duration(pace * float64(g.total-g.past))
}

func (g *progress) begin(c cell) {
	g.n++
	if g.bar != nil {
		what := fmt.Sprintf("round %d: %s, %s", c.round, c.Name(), c.server.Name)
		g.bar.Describe(fmt.Sprintf("%-50s %s left", what, minutes(g.left())))
	}
}

func (g *progress) done(c cell, r *results.Cell) {
	g.past += c.cost(g.plan.settings)
	if g.bar != nil {
		_ = g.bar.Set64(int64(g.past)) // go on even if the bar cannot be shown
		if f := r.Fault(); f != "" {
			fmt.Fprintf(g.w, "\r\033[K%s, %s: %s\n", c.Name(), c.server.Name, f)
		}
		return
	}
	what := r.Fault()
	switch {
	case what != "":
	case c.Kind == load.Idle:
		what = results.Size(r.Result.PerConn) + " per connection"
	default:
		what = fmt.Sprintf("%s µs, %s/s", results.Figure(r.Result.ServerCPU), results.Count(r.Result.PerSecond))
	}
	fmt.Fprintf(g.w, "%d/%d, %s left: round %d, %s, %s: %s\n",
		g.n, g.cells, minutes(g.left()), c.round, c.Name(), c.server.Name, what)
}

func (g *progress) end() {
	if g.bar != nil {
		fmt.Fprintln(g.w)
	}
}

// minutes formats a time to wait.
func minutes(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}
