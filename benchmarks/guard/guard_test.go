//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range table {
		for _, f := range r.figures {
			if f.target <= 0 || f.bound <= f.target || names[f.name] {
				t.Errorf("%+v", f)
			}
			names[f.name] = true
		}
	}
}

// TestCheck runs check on fake measurements.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64 // results of the runs
		fails  error     // result of the run after them
		once   bool
		want   float64
		runs   int
		over   bool
		skips  bool
		ends   bool
	}{
		{name: "the median counts", values: []float64{9, 1, 2}, want: 2, runs: 3},
		{name: "over the bound, measured again", values: []float64{9, 9, 1, 1, 2, 9, 2, 1}, want: 2, runs: 8},
		{name: "over the bound for good", values: []float64{9, 9, 1, 9, 9, 1, 1, 4}, want: 4, runs: 8, over: true},
		{name: "once", values: []float64{2}, once: true, want: 2, runs: 1},
		{name: "once, and again", values: []float64{4, 1, 2, 9, 3, 1}, once: true, want: 2, runs: 6},
		{name: "left out", fails: leftOut("no gcc"), runs: 1, skips: true},
		{name: "a server that fails", values: []float64{1}, fails: errors.New("reset"), runs: 2, ends: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			runs := 0
			r := row{figures: []figure{{"a", 1, 3}, {"b", 1, 30}}, once: test.once}
			r.measure = func(context.Context, *bench) ([]float64, error) {
				if runs++; runs > len(test.values) {
					return nil, test.fails
				}
				return []float64{test.values[runs-1], 10 * test.values[runs-1]}, nil
			}
			all, err := check(t.Context(), nil, []row{r}, 3, 5)
			if runs != test.runs || (err != nil) != test.ends {
				t.Fatalf("%d runs, %v", runs, err)
			}
			if test.ends {
				return
			}
			if c := all[0]; c.value != test.want || c.over() != test.over || (c.skipped != "") != test.skips {
				t.Errorf("%+v", c)
			}
			if c := all[1]; c.value != 10*test.want {
				t.Errorf("%+v", c)
			}
			var text bytes.Buffer
			if over := write(&text, all); over != test.over || strings.Contains(text.String(), "OVER") != test.over {
				t.Error(text.String())
			}
		})
	}
}

func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.csv")
	if lines, err := readHistory(file); err != nil || lines != nil {
		t.Fatal(lines, err)
	}
	first := []checked{{figure: figure{name: "a"}, value: 1.25}}
	second := []checked{{figure: figure{name: "a, too"}, value: 0.5}}
	for _, all := range [][]checked{first, second} {
		if err := record(file, all); err != nil {
			t.Skip("no git checkout: ", err)
		}
	}
	if err := record(file, []checked{{skipped: "no gcc"}}); err == nil {
		t.Error("record accepts a list with a skipped figure")
	}
	lines, err := readHistory(file)
	if err != nil || len(lines) != 2 || lines[0].figure != "a" || lines[0].value != 1.25 ||
		lines[1].figure != "a, too" {
		t.Fatal(lines, err)
	}
	lines[0].date = "2000-01-01 00:00"
	if l := last(lines); len(l) != 1 || l[0].figure != "a, too" {
		t.Error(l)
	}
	for _, bad := range []string{
		"",
		"date,commit\n",
		"date,commit,figure,value,cpu\nx,y,z,1,c\n",
		"date,commit,figure,value,cpu\n2026-01-01 00:00,y,z,?,c\n",
	} {
		os.WriteFile(file, []byte(bad), 0o644)
		if _, err := readHistory(file); err == nil {
			t.Errorf("readHistory accepts %q", bad)
		}
	}
}

// TestHistory checks that the latest record has all figures, and that they are within their bounds.
func TestHistory(t *testing.T) {
	lines, err := readHistory("../" + historyFile)
	if err != nil {
		t.Fatal(err)
	}
	latest := last(lines)
	for _, r := range table {
		for _, f := range r.figures {
			i := slices.IndexFunc(latest, func(l line) bool { return l.figure == f.name })
			if i < 0 {
				t.Errorf("%s is not in the latest record: go run ./guard -record", f.name)
			} else if latest[i].value > f.bound || latest[i].value < 0 {
				t.Errorf("%s: %v, over the bound of %v", f.name, latest[i].value, f.bound)
			}
		}
	}
}
