package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is a row of a table: its name, and its figure in a result.
type row struct {
	name string
	of   func(result) string
}

var outcomeRows = []row{
	{"connections", func(r result) string { return "**" + thousands(r.Conns) + "**" }},
	{"echoed / received the broadcast",
		func(r result) string { return thousands(r.Echoed) + " / " + thousands(r.Heard) }},
	{"failed connections / wrong messages",
		func(r result) string { return thousands(r.Failed) + " / " + thousands(r.Wrong) }},
}

var memoryRows = []row{
	{"**server, bytes per connection**", func(result) string { return "" }},
	{"RSS of the whole process", func(r result) string { return "**" + r.rss() + "**" }},
	{"RSS, growth since before the first connection",
		func(r result) string { return r.perConn(r.worst().ServerRSS - r.Before.ServerRSS) }},
	{"live Go heap", result.heap},
}

var kernelRows = []row{
	{"**kernel, bytes per connection, both ends**", func(result) string { return "" }},
	{"kernel memory", result.kernel},
	{"of that in slabs (sockets, files, epoll)",
		func(r result) string { return r.perConn(r.After.System.Slab - r.Before.System.Slab) }},
	{"decrease of MemAvailable",
		func(r result) string { return r.perConn(r.Before.System.Available - r.After.System.Available) }},
}

var pauseRows = []row{
	{"**stops of the world in the server**", func(result) string { return "" }},
	{"longest since the first connection, upper bound",
		func(r result) string { return "**" + r.longestPause() + "**" }},
	{"median of these, upper bound", result.medianPause},
	{"longest since the process started, upper bound",
		func(r result) string { return microseconds(r.After.Server.Go.MaxPause) }},
	{"garbage collections", func(r result) string { return thousands(r.After.Server.Go.Collections) }},
}

var timeRows = []row{
	{"**time, seconds (server's CPU seconds)**", func(result) string { return "" }},
	{"open all", func(r result) string { return r.Connect.String() }},
	{"echo, one message each", func(r result) string { return r.Echo.String() }},
	{"broadcast, until the last one has it", func(r result) string { return r.Broadcast.String() }},
}

var openRows = []row{
	{"**with all connections open**", func(result) string { return "" }},
	{"the server's connections, by its own count",
		func(r result) string { return thousands(r.After.Server.Engine.Connections) }},
	{"the server's timers", func(r result) string { return thousands(r.After.Server.Engine.Timers) }},
	{"TCP sockets, both ends", func(r result) string { return thousands(r.After.System.Sockets) }},
	{"descriptors, both ends", func(r result) string { return thousands(r.After.System.Files) }},
}

func (s span) String() string { return fmt.Sprintf("%.1f (%.1f)", s.Seconds, s.Server) }

// table writes a table with a column for each result.
func table(all []result) string {
	return tableOf(all, outcomeRows, memoryRows, kernelRows, pauseRows, timeRows, openRows)
}

// nativeTable leaves out figures to which other programs of the machine contribute.
func nativeTable(all []result) string {
	return tableOf(all, outcomeRows, memoryRows, pauseRows, timeRows)
}

// pauseTable leaves out figures that do not depend on the clock.
func pauseTable(all []result) string { return tableOf(all, outcomeRows, pauseRows, timeRows) }

var movedRows = []row{
	{"connections of the new process", func(r result) string { return thousands(r.Handover.Connections) }},
	{"**memory, bytes per connection**", func(result) string { return "" }},
	{"RSS of the old process, all accepted",
		func(r result) string { return r.perConn(r.Connected.ServerRSS) }},
	{"RSS of the new process, all moved",
		func(r result) string { return "**" + r.perConn(r.Handover.ServerRSS) + "**" }},
	{"RSS of the new process, at the end", func(r result) string { return r.perConn(r.After.ServerRSS) }},
	{"**the handover, seconds**", func(result) string { return "" }},
	{"from the start of the new process to the end of the old one",
		func(r result) string { return fmt.Sprintf("**%.1f**", r.Handover.Seconds) }},
	{"CPU time of both, of that in user mode",
		func(r result) string { return fmt.Sprintf("%.1f, %.1f", r.Handover.Server, r.Handover.User) }},
	{"to compare: opening the connections (server's CPU seconds)",
		func(r result) string { return r.Connect.String() }},
}

// movedTable has what a handover took.
func movedTable(all []result) string { return tableOf(all, outcomeRows, movedRows) }

func tableOf(all []result, groups ...[]row) string {
	var b strings.Builder
	for i, row := range slices.Concat(groups...) {
		b.WriteString("| " + row.name + " |")
		for _, r := range all {
			b.WriteString(" " + row.of(r) + " |")
		}
		b.WriteString("\n")
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(all)) + "\n")
		}
	}
	return b.String()
}
