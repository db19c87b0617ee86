// Package report writes what a comparison measured as Markdown and plots.
package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// Page is what the report needs beside the results.
type Page struct {
	Set     *results.Set
	Docs    string   // where the hand-written pages lie, seen from the report's folder; "" is the same
	LeftOut []string // loads that were not measured, and why
}

// page is a Page being written.
type page struct {
	Page
	b       strings.Builder
	figures []figure
	all     []results.Comparison
}

func (p *page) f(format string, a ...any) { fmt.Fprintf(&p.b, format, a...) }

// table writes a row of a table.
func (p *page) table(cells ...string) { p.f("| %s |\n", strings.Join(cells, " | ")) }

// head writes the head of a table; all columns but the first are numbers.
func (p *page) head(cells ...string) {
	p.table(cells...)
	p.f("|---%s|\n", strings.Repeat("|---:", len(cells)-1))
}

// Markdown is the whole report.
func Markdown(in Page) string {
	p := &page{Page: in, figures: figures(in.Set), all: in.Set.Compare()}
	p.f("# Benchmarks\n\n<!-- Made by `go run ./compare` in benchmarks/: what is changed here by hand is lost. -->\n\n")
	p.summary()
	p.losses()
	p.hosts()
	for _, k := range sections {
		p.section(k)
	}
	p.notes()
	return p.b.String()
}

var sections = []struct {
	kind  load.Kind
	title string
	text  string
	pick  func(results.Row) bool
}{
	{load.Echo, "Echo",
		"Every connection has as many messages under way as the row says; what comes back is sent again at once (closed loop).",
		func(r results.Row) bool { return r.Rate == 0 && !r.Compress }},
	{load.Echo, "Echo at a fixed rate",
		"Messages are due at fixed times, and latency counts from then, however late they are sent: a stall is not hidden.",
		func(r results.Row) bool { return r.Rate > 0 }},
	{load.Echo, "Compressed echo",
		"permessage-deflate without context takeover. The floor neither inflates nor deflates: ratios are large for everyone.",
		func(r results.Row) bool { return r.Rate == 0 && r.Compress }},
	{load.Broadcast, "Broadcast",
		"One connection sends, all get it. Figures are per delivered message; latency lasts until the last receiver has it.",
		func(results.Row) bool { return true }},
	{load.Idle, "Idle connections",
		"What the process has grown by, divided by the connections that it holds. The kernel's memory is not in it.",
		func(results.Row) bool { return true }},
	{load.Storm, "Handshake storm",
		"All connections are opened as fast as it goes, and held. For TCP servers it is the accept alone.",
		func(results.Row) bool { return true }},
	{load.Churn, "Churn",
		"Connect, handshake, one message, closing handshake; again and again.",
		func(results.Row) bool { return true }},
}

// section writes the rows of a kind: plots, an overview, and every figure.
func (p *page) section(k struct {
	kind  load.Kind
	title string
	text  string
	pick  func(results.Row) bool
}) {
	var rows []results.Row
	for _, r := range p.Set.Rows() {
		if r.Kind == k.kind && k.pick(r) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	p.f("## %s\n\n%s\n\n", k.title, k.text)
	for _, f := range p.figures {
		if slices.Contains(rows, f.row) || f.row == (results.Row{}) && f.kind == k.kind && k.title == "Echo" {
			p.f("![%s](plots/%s.svg)\n\n", f.alt, f.name)
		}
	}
	if k.kind != load.Idle && len(rows) > 1 {
		p.overview(rows, "ws")
		p.overview(rows, "tcp")
	}
	for _, r := range rows {
		p.row(r)
	}
}

// overview sets the rows against the servers of a protocol: CPU as a ratio to the floor.
func (p *page) overview(rows []results.Row, protocol string) {
	var servers []results.Server
	for _, v := range p.Set.Run.Servers {
		if v.Protocol != protocol || v.Role == results.Floor {
			continue
		}
		if slices.ContainsFunc(rows, func(r results.Row) bool { return p.Set.Ratio(r, v.Name, results.CPU).N > 0 }) {
			servers = append(servers, v)
		}
	}
	if len(servers) == 0 {
		return
	}
	head := []string{"CPU ÷ floor"}
	for _, v := range servers {
		head = append(head, v.Name)
	}
	p.head(head...)
	for _, r := range rows {
		cells, any := []string{r.Title()}, false
		for _, v := range servers {
			x := p.Set.Ratio(r, v.Name, results.CPU)
			any = any || x.N > 0
			cells = append(cells, ours(v, ratio(x)))
		}
		if any {
			p.table(cells...)
		}
	}
	p.f("\n")
}

func ratio(x results.Spread) string {
	switch {
	case x.N == 0:
		return "–"
	case x.Median < 10:
		return fmt.Sprintf("%.2f", x.Median)
	}
	return fmt.Sprintf("%.1f", x.Median)
}

func ratioSpread(x results.Spread) string {
	if x.N < 2 {
		return ratio(x)
	}
	return fmt.Sprintf("%s (%s–%s)", ratio(x), ratio(results.Spread{Median: x.Min, N: 1}), ratio(results.Spread{Median: x.Max, N: 1}))
}

// ours makes our own figures bold.
func ours(v results.Server, s string) string {
	if v.Role == results.Ours && s != "–" {
		return "**" + s + "**"
	}
	return s
}

func (p *page) hosts() {
	r := p.Set.Run
	p.f("## Host and versions\n\n%s, %d cores, %g GiB; %s, Linux %s; %s; %s. Measured on %s, at commit %s; rounds: %d, of %g s per cell after a warm-up of %g s.\n\n",
		r.Host.CPU, r.Host.Cores, r.Host.Memory, r.Host.System, r.Host.Kernel, r.Host.Go, r.Host.GCC,
		r.Date, r.Commit, r.Settings.Rounds, r.Settings.Seconds, r.Settings.WarmUp)
	p.f("| server | protocol | version | how it is tuned |\n|---|---|---|---|\n")
	for _, v := range r.Servers {
		p.table(ours(v, v.Name), v.Protocol, v.Version, v.Tuning)
	}
	p.f("\n")
}

func (p *page) notes() {
	p.f("## What the marks mean\n\n" +
		"- **÷ floor**: the median over rounds of the server's CPU time divided by the floor's in the same round, and the least and the most of the rounds.\n" +
		"- **†**: the load generator had no time left and the server had: throughput and latency are the generator's, not the server's. CPU per message still counts.\n" +
		"- **✗**: rounds in which connections failed or messages came back wrong. Their figures are left out.\n" +
		"- **–**: there is no such figure.\n\n")
	if len(p.LeftOut) > 0 {
		p.f("## What was left out\n\n")
		for _, l := range p.LeftOut {
			p.f("- %s\n", l)
		}
		p.f("\n")
	}
	p.f("All figures: [results.jsonl](results.jsonl), a line per cell. How they were measured: [method.md](%smethod.md).\n", p.docs())
}

func (p *page) docs() string {
	if p.Docs == "" || p.Docs == "." {
		return ""
	}
	return p.Docs + "/"
}
