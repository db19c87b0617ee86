package results

import (
	"strings"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

// Measure is a figure by which servers are compared. Less is better.
type Measure struct {
	Name  string
	Noise float64 // a smaller relative difference is not significant
	Of    Metric
	Write func(float64) string
}

// Measures are the figures by which ours is compared, in all rows that have them.
var Measures = []Measure{
	{"CPU", 0.03, CPU, func(v float64) string { return Figure(v) + " µs" }},
	{"memory", 0.05, Memory, Size},
	{"p50", 0.05, P50, Time},
	{"p99", 0.10, P99, Time},
}

// CPU returns the server's CPU time per message, or per connection of a storm or churn, in
// microseconds.
func CPU(r *load.Result) float64 {
	if r.Kind == load.Idle {
		return 0
	}
	return r.ServerCPU
}

// Memory returns the server's memory in bytes: per connection if connections are idle, else of the
// process at the end.
func Memory(r *load.Result) float64 {
	if r.Kind == load.Idle || r.Kind == load.Storm {
		return r.PerConn
	}
	return float64(r.RSS)
}

// P50 returns the median latency in microseconds, of messages or of a storm's or churn's
// handshakes.
func P50(r *load.Result) float64 { return latency(r).P50 }

// P99 returns the 99th percentile of the same latency.
func P99(r *load.Result) float64 { return latency(r).P99 }

// PerSecond returns the rate of messages, or of a storm's or churn's handshakes.
func PerSecond(r *load.Result) float64 { return r.PerSecond }

func latency(r *load.Result) *load.Latency {
	switch r.Kind {
	case load.Storm, load.Churn:
		return &r.Handshake
	case load.Idle:
		return &load.Latency{}
	}
	return &r.Latency
}

// Size formats a number of bytes.
func Size(v float64) string {
	switch {
	case v >= 1<<20:
		return Figure(v/(1<<20)) + " MiB"
	case v >= 10<<10:
		return Figure(v/(1<<10)) + " KiB"
	}
	return Count(v) + " B"
}

// Time formats a number of microseconds.
func Time(v float64) string {
	if v >= 1000 {
		return Figure(v/1000) + " ms"
	}
	return Figure(v) + " µs"
}

// Verdict is the outcome of a comparison with a peer.
type Verdict int

const (
	Ahead  Verdict = iota
	Even           // within the noise
	Behind         // or ours failed and the peer did not
)

// Comparison compares ours with a peer, in one row, by one measure.
type Comparison struct {
	Row
	Ours, Peer      Server
	Measure         Measure
	OurFig, PeerFig Spread
	Ratio           Spread // ours divided by the peer's in the same round
	Verdict         Verdict
	Fault           string // why ours has no figures
	LoadBound       bool   // the load generator was the limit, so latency says little
}

// Compare compares ours with all peers of the same protocol, in all rows, by all measures.
func (s *Set) Compare() []Comparison {
	var all []Comparison
	for _, row := range s.Rows() {
		in := s.Servers(row)
		for _, ours := range in {
			if ours.Role != Ours {
				continue
			}
			for _, peer := range in {
				if peer.Role == Peer && peer.Protocol == ours.Protocol {
					all = append(all, s.judge(row, ours, peer)...)
				}
			}
		}
	}
	return all
}

func (s *Set) judge(row Row, ours, peer Server) []Comparison {
	var all []Comparison
	for _, m := range Measures {
		c := Comparison{
			Row: row, Ours: ours, Peer: peer, Measure: m,
			OurFig: s.Of(row, ours.Name, m.Of), PeerFig: s.Of(row, peer.Name, m.Of),
			Ratio:     s.Versus(row, ours.Name, peer.Name, m.Of),
			LoadBound: s.LoadBound(row, ours.Name) || s.LoadBound(row, peer.Name),
		}
		switch {
		case c.PeerFig.N == 0 || c.PeerFig.Median == 0:
			continue // nothing to compare with
		case c.OurFig.N == 0:
			c.Fault = strings.Join(s.Faults(row, ours.Name), "; ")
			c.Verdict = Behind
		case c.Ratio.N == 0:
			continue
		case c.Ratio.Median > 1+m.Noise:
			c.Verdict = Behind
		case c.Ratio.Median >= 1-m.Noise:
			c.Verdict = Even
		}
		all = append(all, c)
	}
	return all
}
