package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// TestWhole measures a row of each kind for a moment, with real servers and the real load
// generator, and writes the report.
func TestWhole(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("the server and the load generator need a processor each")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is missing, which builds the floor")
	}
	dir, err := servers.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	o := options{rounds: 1, seconds: 0.25, out: t.TempDir(), servers: "myriad", loadCPU: 1,
		own: []string{"mine=tcp:" + filepath.Join(dir, "floor") + " {port}"}}
	p, err := newPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	p.settings.WarmUp = 0.02
	p.rows = []planned{
		withTCP(echo(3, 32, 2)), paced(2, 32, 500), compressed(2, kib),
		secure(echo(2, 32, 1)), other(load.Broadcast, 5, 32, 1),
		withTCP(other(load.Idle, 5, 0, 1)), other(load.Storm, 20, 0, 1), other(load.Churn, 0, 32, 2),
	}
	name := filepath.Join(o.out, "results.jsonl")
	if err := measureAll(t.Context(), o, p, name); err != nil {
		t.Fatal(err)
	}
	set, err := results.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range p.rows {
		for _, name := range []string{"floor", "myriad"} {
			cells := set.Cells(row.Row, name)
			// How much was measured in this short time is chance. Nothing at all is an error of the
			// cell.
			if len(cells) != 1 || cells[0].Error != "" || cells[0].Result.Failed > 0 || cells[0].Result.Wrong > 0 {
				t.Errorf("%s, %s: %d cells, %q", row.Name(), name, len(cells), set.Faults(row.Row, name))
			}
		}
	}
	if err := writeReport(set, o.out); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(o.out, "README.md"))
	if err != nil || !strings.Contains(string(page), "| mine |") {
		t.Errorf("the report: %v\n%s", err, page)
	}
}
