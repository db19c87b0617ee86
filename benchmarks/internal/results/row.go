// Package results stores what a comparison measured, cell by cell, in a file of JSON lines, and
// compares the servers.
package results

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

// Row is a load under which all servers are measured. It is comparable. The zero Row is invalid.
type Row struct {
	Kind     load.Kind
	Conns    int
	Size     int // bytes of payload
	InFlight int // at least 1
	Rate     float64
	Compress bool
	TLS      bool
}

// RowOf returns the row of a load.
func RowOf(c load.Config) Row {
	return Row{c.Kind, c.Conns, c.Size, max(c.InFlight, 1), c.Rate, c.Compress, c.TLS}
}

// Config returns the row's load. The caller sets the server, its protocol and the times.
func (r Row) Config() load.Config {
	return load.Config{Kind: r.Kind, Conns: r.Conns, Size: r.Size, InFlight: r.InFlight, Rate: r.Rate,
		Compress: r.Compress, TLS: r.TLS}
}

// Name returns the row's name in files and on the command line, such as "echo-100-32B-16".
func (r Row) Name() string {
	parts := []string{string(r.Kind)}
	if r.Conns > 0 {
		parts = append(parts, strconv.Itoa(r.Conns))
	}
	switch r.Kind {
	case load.Idle, load.Storm:
	default:
		parts = append(parts, strings.ReplaceAll(Bytes(r.Size), " ", ""))
	}
	switch {
	case r.Rate > 0:
		parts = append(parts, fmt.Sprintf("%.0fps", r.Rate))
	case r.Kind == load.Echo || r.Kind == load.Churn:
		parts = append(parts, strconv.Itoa(r.InFlight))
	}
	if r.Compress {
		parts = append(parts, "deflate")
	}
	if r.TLS {
		parts = append(parts, "tls")
	}
	return strings.Join(parts, "-")
}

// Title describes the row, such as "100 connections, 32 B, 16 in flight".
func (r Row) Title() string {
	conns := Count(float64(r.Conns)) + " connections"
	if r.Conns == 1 {
		conns = "1 connection"
	}
	switch r.Kind {
	case load.Idle:
		return strings.Replace(conns, " ", " idle ", 1)
	case load.Storm:
		return conns + " at once"
	case load.Churn:
		return fmt.Sprintf("connect, %s, close; %d at a time", Bytes(r.Size), r.InFlight)
	case load.Broadcast:
		return fmt.Sprintf("%s receivers, %s", Count(float64(r.Conns)), Bytes(r.Size))
	}
	title := conns + ", " + Bytes(r.Size)
	if r.Rate > 0 {
		title += ", " + Count(r.Rate) + " messages/s"
	} else {
		title += fmt.Sprintf(", %d in flight", r.InFlight)
	}
	if r.Compress {
		title += ", compressed"
	}
	if r.TLS {
		title += ", TLS"
	}
	return title
}

var kinds = []load.Kind{load.Echo, load.Broadcast, load.Idle, load.Storm, load.Churn}

// Compare orders rows as in a report.
func (r Row) Compare(o Row) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(slices.Index(kinds, r.Kind), slices.Index(kinds, o.Kind)),
		cmp.Compare(flag(r.Compress), flag(o.Compress)),
		cmp.Compare(flag(r.TLS), flag(o.TLS)),
		cmp.Compare(r.Rate, o.Rate),
		cmp.Compare(r.InFlight, o.InFlight),
		cmp.Compare(r.Conns, o.Conns),
		cmp.Compare(r.Size, o.Size),
	)
}

// Bytes formats a size, such as 32 B, 1 KiB or 1 MiB.
func Bytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// Count formats a number without decimals, with commas between thousands.
func Count(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Figure formats a measured number with three significant digits.
func Figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return Count(v)
}
