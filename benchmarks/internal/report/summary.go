package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// Headlines are the rows that the summary shows.
var Headlines = []results.Row{
	{Kind: load.Echo, Conns: 100, Size: 32, InFlight: 1},
	{Kind: load.Echo, Conns: 1000, Size: 1 << 10, InFlight: 1},
	{Kind: load.Echo, Conns: 100, Size: 128, InFlight: 16},
	{Kind: load.Echo, Conns: 100, Size: 64 << 10, InFlight: 1},
}

func headline(r results.Row) bool { return slices.Contains(Headlines, r) }

func (p *page) summary() {
	p.f("This page compares Myriad with other servers in Go, under the same load on the same machine: one\n" +
		"core for the server, one for the load. The main figure is the **server's CPU time per message**,\n" +
		"divided by that of the floor, a bare epoll echo in C, in the same round. Absolute figures vary with\n" +
		"the host, but ratios are stable. A ratio below 1 is less than the floor.\n\n")
	p.f("- [method.md](%[1]smethod.md): how it is measured, and how to repeat it\n"+
		"- [peers.md](%[1]speers.md): how each server is tuned\n"+
		"- [not-best.md](%[1]snot-best.md): when another server is a better choice\n"+
		"- [million.md](%[1]smillion.md): a million connections\n"+
		"- [others.md](%[1]sothers.md): public benchmark suites, and uWebSockets\n\n", p.docs())
	p.glance()
	p.claims()
	p.score()
}

// glance writes a table of the headline rows: microseconds per message, and the ratio to the floor.
func (p *page) glance() {
	var rows []results.Row
	var idle results.Row
	for _, r := range p.Set.Rows() {
		if r.Kind == load.Idle {
			idle = r
		}
	}
	for _, h := range Headlines {
		if slices.Contains(p.Set.Rows(), h) {
			rows = append(rows, h)
		}
	}
	head := []string{"server CPU, µs per message (÷ floor)"}
	for _, r := range rows {
		head = append(head, r.Title())
	}
	p.head(append(head, "memory per idle connection")...)
	for _, v := range p.Set.Run.Servers {
		cells := []string{ours(v, v.Name)}
		for _, r := range rows {
			cells = append(cells, ours(v, p.cost(r, v)))
		}
		memory := "–"
		if x := p.Set.Of(idle, v.Name, results.Memory); x.N > 0 {
			memory = results.Size(x.Median)
		}
		p.table(append(cells, ours(v, memory))...)
	}
	p.f("\n")
}

func (p *page) cost(r results.Row, v results.Server) string {
	cpu := p.Set.Of(r, v.Name, results.CPU)
	if cpu.N == 0 {
		return "–"
	}
	s := results.Figure(cpu.Median)
	if x := p.Set.Ratio(r, v.Name, results.CPU); x.N > 0 {
		s += fmt.Sprintf(" (%s)", ratio(x))
	}
	return s
}

// claims writes what the headline table does not show: cost with many connections, and handshakes.
func (p *page) claims() {
	begin := p.b.Len()
	for _, v := range p.Set.Run.Servers {
		if v.Role != results.Ours {
			continue
		}
		few, many := Headlines[0], Headlines[0]
		many.Conns = 10000
		a, b := p.Set.Of(few, v.Name, results.CPU), p.Set.Of(many, v.Name, results.CPU)
		if a.N > 0 && b.N > 0 && a.Median > 0 {
			floor := p.Set.FloorName()
			fa, fb := p.Set.Of(few, floor, results.CPU), p.Set.Of(many, floor, results.CPU)
			p.f("- With 10,000 connections, %s uses %.2f times the CPU time per message (32 B, 1 in flight)\n"+
				"  that it uses with 100. The floor uses %.2f times its own.\n",
				v.Name, b.Median/a.Median, fb.Median/fa.Median)
		}
		for _, r := range p.Set.Rows() {
			if r.Kind == load.Storm && p.Set.Of(r, v.Name, results.CPU).N > 0 {
				p.f("- %s\n", p.storm(r, v))
			}
		}
	}
	if p.b.Len() > begin {
		p.f("\n")
	}
}

// storm says how many handshakes a server does per second of CPU time, compared with its peers.
func (p *page) storm(r results.Row, v results.Server) string {
	slowest, failed := 0, 0
	for _, c := range p.Set.Cells(r, v.Name) {
		slowest, failed = max(slowest, c.Result.Slow), max(failed, c.Result.Failed)
	}
	s := fmt.Sprintf("In a storm of %s connections, %s does %s handshakes per second of CPU time",
		results.Count(float64(r.Conns)), v.Name, results.Count(p.Set.Of(r, v.Name, PerCPUSecond).Median))
	between := ":\n  "
	for _, peer := range p.Set.Servers(r) {
		x := p.Set.Versus(r, peer.Name, v.Name, results.CPU)
		if peer.Role == results.Peer && peer.Protocol == v.Protocol && x.N > 0 {
			s += fmt.Sprintf("%s%.1f times as many as %s", between, x.Median, peer.Name)
			between = ",\n  "
		}
	}
	return s + fmt.Sprintf(".\n  In the worst round %d handshakes failed and %d took more than a second.",
		failed, slowest)
}

// score counts how the comparisons with peers came out.
func (p *page) score() {
	if len(p.all) == 0 {
		return
	}
	p.f("All rows, against all Go peers of the same protocol, in rounds without faults:\n\n")
	p.head("Myriad is", "ahead", "even, within the noise", "behind")
	for _, m := range results.Measures {
		var n [3]int
		for _, c := range p.all {
			if c.Measure.Name == m.Name {
				n[c.Verdict]++
			}
		}
		p.table(fmt.Sprintf("%s (noise: %.0f %%)", m.Name, m.Noise*100),
			fmt.Sprint(n[results.Ahead]), fmt.Sprint(n[results.Even]), fmt.Sprint(n[results.Behind]))
	}
	p.f("\n")
}

// losses lists all comparisons that we lose, and those that are even.
func (p *page) losses() {
	p.f("## Rows that Myriad loses\n\n")
	var behind, even []results.Comparison
	for _, c := range p.all {
		switch c.Verdict {
		case results.Behind:
			behind = append(behind, c)
		case results.Even:
			even = append(even, c)
		}
	}
	if len(behind) == 0 {
		p.f("None in this run. In all rows Myriad is ahead of all Go peers, or even within the noise.\n\n")
	} else {
		p.f("A ratio is Myriad's figure divided by the peer's in the same round: median (minimum–maximum).\n\n")
		p.comparisons(behind)
	}
	if len(even) > 0 {
		p.f("<details><summary>Even within the noise: %d comparisons, which do not count as ahead</summary>\n\n",
			len(even))
		p.comparisons(even)
		p.f("</details>\n\n")
	}
}

func (p *page) comparisons(list []results.Comparison) {
	slices.SortStableFunc(list, func(a, b results.Comparison) int {
		return cmp.Compare(b.Ratio.Median, a.Ratio.Median)
	})
	p.f("| kind | row | figure | Myriad | peer | peer's | ratio |\n|---|---|---|---:|---|---:|---:|\n")
	for _, c := range list {
		mine, r := c.Measure.Write(c.OurFig.Median), ratioSpread(c.Ratio)
		if c.Fault != "" {
			mine, r = "✗ "+c.Fault, "–"
		}
		if c.LoadBound {
			r += " †"
		}
		theirs := c.Measure.Write(c.PeerFig.Median)
		p.table(string(c.Kind), c.Title(), c.Measure.Name, mine, c.Peer.Name, theirs, r)
	}
	p.f("\n")
}
