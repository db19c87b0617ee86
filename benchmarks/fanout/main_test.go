//go:build linux

package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRows measures each row for a moment.
func TestRows(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	short := options{subscribers: 20, topics: 1, burst: 2, size: 128, rounds: 1, rate: 1000,
		period: 100 * time.Millisecond}
	topics, slow := short, short
	topics.topics, topics.held = 4, true
	slow.slow = true
	var slowNames []string
	for _, c := range slowCases {
		slowNames = append(slowNames, c.name)
	}
	for _, c := range []struct {
		name string
		o    options
		rows []string
	}{
		{name: "one topic", o: short, rows: order},
		{name: "topics", o: topics, rows: order},
		{name: "slow", o: slow, rows: slowNames},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(c.o, &out); err != nil {
				t.Fatal(err)
			}
			for _, row := range c.rows {
				if !strings.Contains(out.String(), "| "+row+" |") {
					t.Errorf("no row %q in\n%s", row, out.String())
				}
			}
			if strings.Contains(out.String(), "NaN") {
				t.Errorf("a figure is missing in\n%s", out.String())
			}
			t.Log(out.String())
		})
	}
}
