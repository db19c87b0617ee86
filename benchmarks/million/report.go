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

// keep adds a result to million.jsonl, where it replaces the one with the same kind and number of
// connections, and updates million.md.
func keep(dir string, r result) error {
	name := filepath.Join(dir, "million.jsonl")
	all, err := loadResults(name)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o result) bool { return o.kind() == r.kind() && o.Conns == r.Conns })
	all = append(all, r)
	slices.SortFunc(all, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.kind(), b.kind()), cmp.Compare(a.Conns, b.Conns))
	})
	var b bytes.Buffer
	for _, r := range all {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		return err
	}
	return writeReport(dir)
}

// writeReport generates million.md from million.jsonl.
func writeReport(dir string) error {
	all, err := loadResults(filepath.Join(dir, "million.jsonl"))
	if err != nil {
		return err
	}
	text, err := report(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "million.md"), text, 0o644)
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

// kind returns which of the page's tables a result is in: where it was measured, whether with a
// handover or with TLS, and the clock if it was not real time.
func (r result) kind() string {
	if r.Handover != nil {
		return r.Where + " handover"
	}
	if r.TLS {
		return r.Where + " TLS"
	}
	if r.Clock == clockInstructions {
		return r.Where + " " + r.Clock
	}
	return r.Where
}

// line summarizes a result.
func (r result) line() string {
	return fmt.Sprintf("%s: %s connections: opened in %.1f s, echoed in %.1f s, broadcast in %.1f s; "+
		"RSS %s bytes and kernel %s bytes per connection; longest stop of the world %s; failed %d, wrong %d",
		r.kind(), thousands(r.Conns), r.Connect.Seconds, r.Echo.Seconds, r.Broadcast.Seconds,
		r.rss(), r.kernel(), r.longestPause(), r.Failed, r.Wrong)
}

// worst returns the state with the larger RSS of the server: with all connections open, or at the
// end.
func (r result) worst() state {
	if r.After.ServerRSS > r.Connected.ServerRSS {
		return r.After
	}
	return r.Connected
}

// perConn formats a number of bytes per connection.
func (r result) perConn(bytes int64) string { return thousands(int(bytes) / r.Conns) }

func (r result) rss() string    { return r.perConn(r.worst().ServerRSS) }
func (r result) heap() string   { return r.perConn(r.After.Server.Go.HeapLive) }
func (r result) kernel() string { return r.perConn(r.After.System.Kernel - r.Before.System.Kernel) }

// slabTable writes a table of the kernel's objects in one result.
func slabTable(r *result) string {
	var b strings.Builder
	b.WriteString("| slab | objects | bytes of one | bytes per connection |\n|---|---:|---:|---:|\n")
	for _, s := range r.After.System.Slabs {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n",
			s.Name, thousands(int(s.Objects)), thousands(int(s.Size)), r.perConn(s.Bytes))
	}
	return b.String()
}

//go:embed report.md.tmpl
var reportTemplate string

// report returns the content of million.md.
func report(all []result) ([]byte, error) {
	kind := func(kind string) []result {
		return slices.DeleteFunc(slices.Clone(all), func(r result) bool { return r.kind() != kind })
	}
	funcs := template.FuncMap{
		"table": table, "pauses": pauseTable, "native": nativeTable, "moved": movedTable,
		"slabs": slabTable, "thousands": thousands,
	}
	t, err := template.New("").Funcs(funcs).Parse(reportTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	data := struct {
		Guest, TLS, Instructions, Native []result
		Moved                            []result // with a handover, in a guest
		Largest                          *result  // the last one of Guest
	}{Guest: kind("guest"), TLS: kind("guest TLS"), Moved: kind("guest handover"),
		Instructions: kind("guest " + clockInstructions), Native: kind("native")}
	if n := len(data.Guest); n > 0 {
		data.Largest = &data.Guest[n-1]
	}
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// thousands formats a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
