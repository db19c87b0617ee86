package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// keep puts a result among those of million.jsonl, in the place of the one for the same number of connections, and makes
// million.md of them.
func keep(dir string, r result) error {
	name := filepath.Join(dir, "million.jsonl")
	all, err := loadResults(name)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o result) bool { return o.Where == r.Where && o.Conns == r.Conns })
	all = append(all, r)
	slices.SortFunc(all, func(a, b result) int { return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Conns, b.Conns)) })
	var b bytes.Buffer
	for _, r := range all {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			return err
		}
	}
	text, err := report(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(name, b.Bytes(), 0o644), os.WriteFile(filepath.Join(dir, "million.md"), text, 0o644))
}

func loadResults(name string) (all []result, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range bytes.Lines(b) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, err
}

// line sums a result up.
func (r result) line() string {
	return fmt.Sprintf("%s: %s connections: opened in %.1f s, echoed in %.1f s, heard the broadcast in %.1f s; RSS %s bytes and kernel %s bytes "+
		"per connection, pauses up to %s; failed %d, wrong %d", r.Where, thousands(r.Conns), r.Connect.Seconds, r.Echo.Seconds, r.Broadcast.Seconds,
		r.rss(), r.kernel(), r.pause(), r.Failed, r.Wrong)
}

// worst is the larger of what the server took with all connections open and at the end.
func (r result) worst() state {
	if r.After.ServerRSS > r.Connected.ServerRSS {
		return r.After
	}
	return r.Connected
}

// Figures of one connection, rounded to bytes.
func (r result) perConn(bytes int64) string { return thousands(int(bytes) / r.Conns) }
func (r result) rss() string                { return r.perConn(r.worst().ServerRSS) }
func (r result) heap() string               { return r.perConn(r.After.Server.Go.HeapLive) }
func (r result) kernel() string             { return r.perConn(r.After.System.Kernel - r.Before.System.Kernel) }

func (r result) pause() string {
	return fmt.Sprintf("%.0f µs", r.After.Server.Go.MaxPause*1e6)
}

// row is a line of a table: what it is, and how it is said of each result.
type row struct {
	name string
	of   func(result) string
}

var rows = []row{
	{"connections", func(r result) string { return "**" + thousands(r.Conns) + "**" }},
	{"echoed / heard the broadcast", func(r result) string { return thousands(r.Echoed) + " / " + thousands(r.Heard) }},
	{"failed connections / wrong messages", func(r result) string { return thousands(r.Failed) + " / " + thousands(r.Wrong) }},
	{"**server, bytes per connection**", func(result) string { return "" }},
	{"RSS, everything of the process", func(r result) string { return "**" + r.rss() + "**" }},
	{"RSS, without what it had before the first", func(r result) string { return r.perConn(r.worst().ServerRSS - r.Before.ServerRSS) }},
	{"Go heap alive", result.heap},
	{"**kernel, bytes per connection, both ends**", func(result) string { return "" }},
	{"memory of the kernel", result.kernel},
	{"of that in slabs (sockets, files, epoll)", func(r result) string { return r.perConn(r.After.System.Slab - r.Before.System.Slab) }},
	{"MemAvailable less than before", func(r result) string { return r.perConn(r.Before.System.Available - r.After.System.Available) }},
	{"**garbage collection of the server**", func(result) string { return "" }},
	{"longest stop of the world, at most", result.pause},
	{"collections", func(r result) string { return thousands(r.After.Server.Go.Collections) }},
	{"**time, seconds (server's CPU seconds)**", func(result) string { return "" }},
	{"open all", func(r result) string { return r.Connect.String() }},
	{"echo, one message each", func(r result) string { return r.Echo.String() }},
	{"broadcast, until the last has it", func(r result) string { return r.Broadcast.String() }},
	{"**with all of them open**", func(result) string { return "" }},
	{"the server's connections, by its own count", func(r result) string { return thousands(r.After.Server.Engine.Connections) }},
	{"the server's timers", func(r result) string { return thousands(r.After.Server.Engine.Timers) }},
	{"TCP sockets, both ends", func(r result) string { return thousands(r.After.System.Sockets) }},
	{"descriptors, both ends", func(r result) string { return thousands(r.After.System.Files) }},
}

func (s span) String() string { return fmt.Sprintf("%.1f (%.1f)", s.Seconds, s.Server) }

// table has one column for each result.
func table(all []result) string {
	var b strings.Builder
	for i, row := range rows {
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

// slabTable says what the kernel's objects are, for one result.
func slabTable(r *result) string {
	var b strings.Builder
	b.WriteString("| slab | objects | bytes of one | bytes per connection |\n|---|---:|---:|---:|\n")
	for _, s := range r.After.System.Slabs {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Name, thousands(int(s.Objects)), thousands(int(s.Size)), r.perConn(s.Bytes))
	}
	return b.String()
}

//go:embed report.md.tmpl
var reportTemplate string

// report is million.md.
func report(all []result) ([]byte, error) {
	byWhere := func(where string) []result {
		return slices.DeleteFunc(slices.Clone(all), func(r result) bool { return r.Where != where })
	}
	t, err := template.New("").Funcs(template.FuncMap{"table": table, "slabs": slabTable, "thousands": thousands}).Parse(reportTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	data := struct {
		Guest, Native []result
		Largest       *result // of the guest's
	}{Guest: byWhere("guest"), Native: byWhere("native")}
	if n := len(data.Guest); n > 0 {
		data.Largest = &data.Guest[n-1]
	}
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
