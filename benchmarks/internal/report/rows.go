package report

import (
	"fmt"
	"strings"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// column is a column in the tables of a kind of row.
type column struct {
	title string
	write func(*results.Set, results.Row, string) string
}

func median(m results.Metric, write func(float64) string) func(*results.Set, results.Row, string) string {
	return func(s *results.Set, r results.Row, server string) string {
		x := s.Of(r, server, m)
		if x.N == 0 || x.Median == 0 {
			return "–"
		}
		return write(x.Median)
	}
}

func ranged(m results.Metric, write func(float64) string) func(*results.Set, results.Row, string) string {
	return func(s *results.Set, r results.Row, server string) string {
		x := s.Of(r, server, m)
		if x.N < 2 {
			return median(m, write)(s, r, server)
		}
		return fmt.Sprintf("%s (%s–%s)", write(x.Median), write(x.Min), write(x.Max))
	}
}

func toFloor(s *results.Set, r results.Row, server string) string {
	return ratioSpread(s.Ratio(r, server, results.CPU))
}

var (
	rss      = func(r *load.Result) float64 { return float64(r.RSS) }
	before   = func(r *load.Result) float64 { return float64(r.RSSBefore) }
	perConn  = func(r *load.Result) float64 { return r.PerConn }
	messages = []column{
		{"CPU, µs", median(results.CPU, results.Figure)},
		{"÷ floor", toFloor},
		{"messages/s", median(results.PerSecond, results.Count)},
		{"p50", median(results.P50, results.Time)},
		{"p99", median(results.P99, results.Time)},
		{"RSS", median(rss, results.Size)},
	}
	connections = []column{
		{"CPU, µs", median(results.CPU, results.Figure)},
		{"÷ floor", toFloor},
		{"per CPU second", median(PerCPUSecond, results.Count)},
		{"per second", median(results.PerSecond, results.Count)},
		{"p50", median(results.P50, results.Time)},
		{"p99", median(results.P99, results.Time)},
		{"over 1 s", slow},
		{"memory", median(results.Memory, results.Size)},
	}
	idle = []column{
		{"RSS per connection", ranged(perConn, results.Size)},
		{"RSS before", median(before, results.Size)},
		{"RSS", median(rss, results.Size)},
		{"cores in use", idleCPU},
	}
	columns = map[load.Kind][]column{
		load.Echo: messages, load.Broadcast: messages, load.Idle: idle,
		load.Storm: connections, load.Churn: connections,
	}
)

// idleCPU is the CPU use of a server with idle connections. 0 is a valid figure here.
func idleCPU(s *results.Set, r results.Row, server string) string {
	x := s.Of(r, server, func(r *load.Result) float64 { return r.ServerBusy })
	if x.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.4f", x.Median)
}

// columnsOf returns the columns of a row. At a fixed rate one more tells how much was sent late.
func columnsOf(r results.Row) []column {
	list := columns[r.Kind]
	if r.Rate > 0 {
		return append(list[:len(list):len(list)], column{"sent late", late})
	}
	return list
}

func late(s *results.Set, r results.Row, server string) string {
	part := func(r *load.Result) float64 { return 100 * float64(r.Missed) / float64(r.Messages) }
	x := s.Of(r, server, part)
	if x.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", x.Median)
}

func slow(s *results.Set, r results.Row, server string) string {
	var n []string
	for _, c := range s.Cells(r, server) {
		n = append(n, fmt.Sprint(c.Result.Slow))
	}
	return strings.Join(n, ", ")
}

// row writes all figures of a row, folded.
func (p *page) row(r results.Row) {
	p.f("<details><summary>%s</summary>\n\n", r.Title())
	head := []string{"server"}
	for _, c := range columnsOf(r) {
		head = append(head, c.title)
	}
	p.head(head...)
	var faults []string
	for _, v := range p.Set.Servers(r) {
		name := ours(v, v.Name)
		if p.Set.LoadBound(r, v.Name) {
			name += " †"
		}
		if f := p.Set.Faults(r, v.Name); len(f) > 0 {
			name += " ✗"
			faults = append(faults, fmt.Sprintf("✗ %s: %s", v.Name, strings.Join(f, "; ")))
		}
		cells := []string{name}
		for _, c := range columnsOf(r) {
			cells = append(cells, c.write(p.Set, r, v.Name))
		}
		p.table(cells...)
	}
	p.f("\n")
	for _, f := range faults {
		p.f("%s  \n", f)
	}
	p.f("</details>\n\n")
}
