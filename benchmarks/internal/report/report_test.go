package report

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot/plotter"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// TestPlots draws all plots and looks for axes, servers and units.
func TestPlots(t *testing.T) {
	folder := os.Getenv("PLOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	if err := Plots(fixture(t, nil), folder); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name string
		want []string
	}{
		{"cpu-echo-100-32B-1", []string{"100 connections, 32 B, 1 in flight", "server CPU per message ÷ the C floor",
			"gorilla", "myriad-tcp"}},
		{"throughput-echo-100-128B-16", []string{"echoed messages per second, one core", "gws"}},
		{"cpu-broadcast-1000-32B", []string{"server CPU per delivered message ÷ the C floor"}},
		{"latency-echo-1000-32B-20000ps", []string{"percentile", "latency", "99.9 %", "µs", "gobwas"}},
		{"memory-idle-10000", []string{"RSS per connection, KiB", "coder"}},
		{"handshakes-storm-15000", []string{"handshakes per second of the server", "melody"}},
		{"handshakes-churn-32B-16", []string{"connections per second of the server"}},
		{"scaling", []string{"connections", "server CPU per message, µs", "10,000", "myriad"}},
	} {
		svg, err := os.ReadFile(filepath.Join(folder, v.name+".svg"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range v.want {
			if !bytes.Contains(svg, []byte(strings.ReplaceAll(w, "'", "&#39;"))) {
				t.Errorf("%s.svg does not contain %q", v.name, w)
			}
		}
		f, err := os.Open(filepath.Join(folder, v.name+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		c, err := png.DecodeConfig(f)
		f.Close()
		if err != nil || c.Width != 1600 {
			t.Errorf("%s.png: %d wide, %v", v.name, c.Width, err)
		}
	}
}

func contains(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the report does not contain %q", w)
		}
	}
}

func TestMarkdown(t *testing.T) {
	page := Markdown(Page{Set: fixture(t, nil), Docs: "..", LeftOut: []string{"this: too much"}})
	contains(t, page,
		"# Benchmarks", "[method.md](../method.md)", "[not-best.md](../not-best.md)", "(results.jsonl)",
		"| **myriad** |", "| floor | 4.0", "## Rows that Myriad loses\n\nNone in this run.",
		"A processor, 2 cores, 8 GiB; Debian, Linux 6.1;\ngo1.26; gcc 12.\n",
		"Measured on 2026-01-02 at commit abc, in 3 rounds of 1 s per cell,\neach after a warm-up of 0.3 s",
		"- With 10,000 connections, myriad uses 0.99 times the CPU time per message", "The floor uses ",
		"times as many as gobwas,\n", "In the worst round 0 handshakes failed and 0 took more than a second.",
		"## Echo\n", "![Server CPU per message as a ratio to the C floor, 100 connections, 32 B, 1 in flight]"+
			"(plots/cpu-echo-100-32B-1.svg)",
		"## Compressed echo", "## Broadcast", "## Idle connections", "## Handshake storm", "## Churn",
		"<details><summary>10,000 connections, 32 B, 1 in flight</summary>", "- this: too much")
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
		t.Error("the report has figures that are not numbers")
	}
}

// TestMarkdownNamesWhatIsWrong checks that the report has lost rows, failures, and the generator's
// limits.
func TestMarkdownNamesWhatIsWrong(t *testing.T) {
	set := fixture(t, func(c *results.Cell) {
		row := c.Row()
		switch {
		case c.Server == "myriad" && row.Name() == "echo-1000-32B-1":
			c.Result.Latency.P99 *= 50
		case c.Server == "gws" && row.Kind == load.Idle && c.Round == 2:
			c.Result.Failed, c.Result.FirstError = 7, "connection refused"
		case c.Server == "gobwas" && row.Kind == load.Broadcast:
			c.Result.Wrong = 1234
		case c.Server == "net" && row.Kind == load.Storm:
			c.Error = "does not listen"
		case c.Server == "floor" && row.Name() == "echo-1-32B-1":
			c.Result.Bottleneck = true
		}
	})
	page := Markdown(Page{Set: set})
	lost, _, _ := strings.Cut(page[strings.Index(page, "## Rows that Myriad loses"):], "<details>")
	for _, peer := range []string{"gws", "gorilla", "coder", "gobwas", "melody"} {
		if !strings.Contains(lost, "| echo | 1,000 connections, 32 B, 1 in flight | p99 |") ||
			!strings.Contains(lost, "| "+peer+" |") {
			t.Errorf("the row lost to %s is missing in:\n%s", peer, lost)
		}
	}
	contains(t, page, "| gws ✗ |", "✗ gws: round 2: 7 connections failed: connection refused",
		"✗ gobwas: round 1: 1,234 wrong messages; round 2", "✗ net: round 1: does not listen", "| floor † |")
}

// TestQuantiles checks that the point at 1/(1-p) is the value below which the part p lies, and that
// the curve ends where ten values are above.
func TestQuantiles(t *testing.T) {
	h := hdrhistogram.New(1, 1e9, 3)
	for i := range int64(10_000) {
		if err := h.RecordValue((i + 1) * 1000); err != nil {
			t.Fatal(err)
		}
	}
	pts := quantiles(h)
	for _, v := range []struct{ x, want float64 }{{10, 9000}, {100, 9900}, {1000, 9990}} {
		i := slices.IndexFunc(pts, func(p plotter.XY) bool { return math.Abs(p.X/v.x-1) < 1e-6 })
		if i < 0 || math.Abs(pts[i].Y/v.want-1) > 0.002 {
			t.Errorf("at %v: point %d of %v", v.x, i, pts)
		}
	}
	if last := pts[len(pts)-1].X; last > 1000.001 {
		t.Errorf("the curve goes on to %v", last)
	}
}

// TestMemoryBars checks that bytes become KiB on the axis, but not beside the bar.
func TestMemoryBars(t *testing.T) {
	set := fixture(t, func(c *results.Cell) { c.Result.PerConn = 2048 })
	row := results.Row{Kind: load.Idle, Conns: 10000, InFlight: 1}
	for _, b := range memoryBars(set, row) {
		if b.value.Median != 2 || b.label != "2,048 B" {
			t.Errorf("%+v", b)
		}
	}
}
