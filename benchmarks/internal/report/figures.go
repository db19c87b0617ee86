package report

import (
	"cmp"
	"fmt"
	"image/color"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// figure is a plot, the name of its file, and its description for readers who do not see it.
type figure struct {
	name string
	alt  string
	row  results.Row // the row that it shows; the zero Row if it shows several
	kind load.Kind
	plot *plot.Plot
}

// Plots draws all plots of the results, as SVG and PNG files in a folder.
func Plots(s *results.Set, folder string) error {
	for _, f := range figures(s) {
		if err := save(f.plot, filepath.Join(folder, f.name)); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func figures(s *results.Set) []figure {
	var all []figure
	for _, row := range s.Rows() {
		switch {
		case row.Rate > 0:
			all = append(all, percentilesFigure(s, row))
		case row.Kind == load.Echo && headline(row):
			all = append(all, cpuFigure(s, row), throughputFigure(s, row))
		case row.Kind == load.Echo && (row.Compress || row.TLS), row.Kind == load.Broadcast:
			all = append(all, cpuFigure(s, row))
		case row.Kind == load.Idle:
			all = append(all, memoryFigure(s, row))
		case row.Kind == load.Storm, row.Kind == load.Churn:
			all = append(all, handshakesFigure(s, row))
		}
	}
	all = append(all, scalingFigures(s)...)
	return slices.DeleteFunc(all, func(f figure) bool { return f.plot == nil })
}

// rowBars makes a bar for each server of a row, the smallest first, or the largest.
func rowBars(
	s *results.Set, row results.Row, largestFirst bool,
	value func(results.Server) results.Spread, label func(results.Spread) string,
) []bar {
	var list []bar
	for _, v := range s.Servers(row) {
		if x := value(v); x.N > 0 && x.Median > 0 {
			l := label(x)
			if s.LoadBound(row, v.Name) {
				l += " †"
			}
			list = append(list, bar{v.Name, v.Role, x, l})
		}
	}
	slices.SortStableFunc(list, func(a, b bar) int {
		if largestFirst {
			a, b = b, a
		}
		return cmp.Compare(a.value.Median, b.value.Median)
	})
	return list
}

// scaled divides figures, so that the numbers on an axis are short.
func scaled(x results.Spread, by float64) results.Spread {
	x.Median, x.Min, x.Max = x.Median/by, x.Min/by, x.Max/by
	return x
}

func cpuFigure(s *results.Set, row results.Row) figure {
	f := figure{name: "cpu-" + row.Name(), row: row, kind: row.Kind}
	list := rowBars(s, row, false,
		func(v results.Server) results.Spread { return s.Ratio(row, v.Name, results.CPU) },
		ratio)
	if len(list) == 0 {
		return f
	}
	what := "message"
	if row.Kind == load.Broadcast {
		what = "delivered message"
	}
	f.alt = fmt.Sprintf("Server CPU per %s as a ratio to the C floor, %s", what, row.Title())
	f.plot = barPlot(row.Title(), "server CPU per "+what+" ÷ the C floor's", list, 1)
	return f
}

func throughputFigure(s *results.Set, row results.Row) figure {
	f := figure{name: "throughput-" + row.Name(), row: row, kind: row.Kind}
	list := rowBars(s, row, true,
		func(v results.Server) results.Spread { return s.Of(row, v.Name, results.PerSecond) },
		func(x results.Spread) string { return perSecond(x.Median) })
	if len(list) == 0 {
		return f
	}
	f.alt = "Echoed messages per second on one core, " + row.Title()
	f.plot = barPlot(row.Title(), "echoed messages per second, one core", list, 0)
	return f
}

func perSecond(v float64) string {
	if v >= 10_000 {
		return results.Figure(v/1000) + "k"
	}
	return results.Count(v)
}

func memoryFigure(s *results.Set, row results.Row) figure {
	f := figure{name: "memory-" + row.Name(), row: row, kind: row.Kind}
	list := memoryBars(s, row)
	if len(list) == 0 {
		return f
	}
	f.alt = "Memory of the server process per idle connection, " + row.Title()
	f.plot = barPlot(row.Title(), "RSS per connection, KiB", list, 0)
	return f
}

func memoryBars(s *results.Set, row results.Row) []bar {
	return rowBars(s, row, false,
		func(v results.Server) results.Spread { return scaled(s.Of(row, v.Name, results.Memory), 1024) },
		func(x results.Spread) string { return results.Size(x.Median * 1024) })
}

func handshakesFigure(s *results.Set, row results.Row) figure {
	f := figure{name: "handshakes-" + row.Name(), row: row, kind: row.Kind}
	list := rowBars(s, row, true,
		func(v results.Server) results.Spread { return s.Of(row, v.Name, PerCPUSecond) },
		func(x results.Spread) string { return perSecond(x.Median) })
	if len(list) == 0 {
		return f
	}
	for i, b := range list {
		if b.role == results.Floor {
			list[i].name += ", TCP" // it has no handshake
		}
	}
	what := "handshakes"
	if row.Kind == load.Churn {
		what = "connections"
	}
	f.alt = fmt.Sprintf("%s per second of the server's CPU, %s", what, row.Title())
	f.plot = barPlot(row.Title(), what+" per second of the server's CPU", list, 0)
	return f
}

// PerCPUSecond returns how many connections of a storm or churn a server takes per second of its
// CPU time.
func PerCPUSecond(r *load.Result) float64 {
	if r.ServerCPU == 0 {
		return 0
	}
	return 1e6 / r.ServerCPU
}

// inks assigns a colour to each server of a run. It is the same in all plots.
func inks(s *results.Set) map[string]color.Color {
	m, used := map[string]color.Color{}, map[string]int{}
	for _, v := range s.Run.Servers {
		switch v.Role {
		case results.Ours:
			m[v.Name] = barOurs
		case results.Floor:
			m[v.Name] = barFloor
		default:
			m[v.Name] = peerInks[used[v.Protocol]%len(peerInks)]
			used[v.Protocol]++
		}
	}
	return m
}

// scalingFigures shows the cost of a message over the number of connections, with 32 B and 1 in
// flight, for WebSocket servers and the floor.
func scalingFigures(s *results.Set) []figure {
	colors, points := inks(s), map[string]*curve{}
	var list []*curve
	for _, row := range s.Rows() {
		if row.Kind != load.Echo || row.Size != 32 || row.InFlight != 1 || row.Rate > 0 || row.Compress || row.TLS {
			continue
		}
		for _, v := range s.Servers(row) {
			cpu := s.Of(row, v.Name, results.CPU)
			if v.Protocol != "ws" && v.Role != results.Floor || cpu.N == 0 {
				continue
			}
			c := points[v.Name]
			if c == nil {
				c = &curve{name: v.Name, role: v.Role, ink: colors[v.Name], dots: true}
				points[v.Name], list = c, append(list, c)
			}
			c.points = append(c.points, struct{ X, Y float64 }{float64(row.Conns), cpu.Median})
		}
	}
	var lines []curve
	for _, c := range list {
		if len(c.points) > 1 {
			lines = append(lines, *c)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	p := curvePlot("Cost with more connections: 32 B, 1 in flight",
		"connections", "server CPU per message, µs", lines)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{label: results.Count}
	p.Y.Min, p.Y.Tick.Marker = 0, roundTicks{5}
	return []figure{{name: "scaling", kind: load.Echo, plot: p,
		alt: "Server CPU per message over the number of connections, 32 B, 1 in flight"}}
}
