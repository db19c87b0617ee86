package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

func testPlan(rounds int) *plan {
	return &plan{
		rows: []planned{withTCP(echo(100, 32, 1)), compressed(100, kib), other(load.Broadcast, 1000, 32, 1)},
		servers: []*server{
			{Server: results.Server{Name: "floor", Protocol: "tcp", Role: results.Floor}, from: &servers.Server{}},
			{Server: results.Server{Name: "myriad", Protocol: "ws", Role: results.Ours, Version: "a"},
				from: &servers.Server{Compress: true, Broadcast: true}},
			{Server: results.Server{Name: "net", Protocol: "tcp", Role: results.Peer}, from: &servers.Server{}},
			{Server: results.Server{Name: "gobwas", Protocol: "ws", Role: results.Peer},
				from: &servers.Server{Broadcast: true}},
		},
		settings: results.Settings{Seconds: 1, WarmUp: 0.5, Rounds: rounds},
	}
}

// measured runs a plan with a fake measurement and returns the names of the cells.
func measured(t *testing.T, ctx context.Context, p *plan, name string, m measure) ([]string, error) {
	t.Helper()
	file, err := begin(name, p, &results.Run{Host: results.Host{CPU: "one"}})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var did []string
	todo := p.cells(file.Set)
	err = run(ctx, p, todo, file, func(ctx context.Context, c cell, s results.Settings) (load.Result, error) {
		did = append(did, c.Name()+" "+c.server.Name)
		if m != nil {
			return m(ctx, c, s)
		}
		return load.Result{Messages: 1, ServerCPU: 4}, nil
	}, newProgress(null, p, todo))
	return did, err
}

// TestOrder checks that the floor comes first in each row, that servers take part where they can,
// and that every other round is in reverse.
func TestOrder(t *testing.T) {
	did, err := measured(t, t.Context(), testPlan(2), filepath.Join(t.TempDir(), "r"), nil)
	want := []string{
		"echo-100-32B-1 floor", "echo-100-32B-1 myriad", "echo-100-32B-1 net", "echo-100-32B-1 gobwas",
		"echo-100-1KiB-1-deflate floor", "echo-100-1KiB-1-deflate myriad",
		"broadcast-1000-32B floor", "broadcast-1000-32B myriad", "broadcast-1000-32B gobwas",
		"echo-100-32B-1 floor", "echo-100-32B-1 gobwas", "echo-100-32B-1 net", "echo-100-32B-1 myriad",
		"echo-100-1KiB-1-deflate floor", "echo-100-1KiB-1-deflate myriad",
		"broadcast-1000-32B floor", "broadcast-1000-32B gobwas", "broadcast-1000-32B myriad",
	}
	if err != nil || !slices.Equal(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}

// TestResume checks that an interrupted run continues with a new floor, and that a complete one has
// nothing left to do.
func TestResume(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	ctx, stop := context.WithCancelCause(t.Context())
	n := 0
	interrupt := func(ctx context.Context, _ cell, _ results.Settings) (load.Result, error) {
		if n++; n == 3 { // in the middle of the third cell
			stop(errInterrupted)
			return load.Result{}, ctx.Err()
		}
		return load.Result{Messages: 1}, nil
	}
	if _, err := measured(t, ctx, testPlan(1), name, interrupt); !errors.Is(err, errInterrupted) {
		t.Fatal(err)
	}
	did, err := measured(t, t.Context(), testPlan(1), name, nil)
	want := []string{
		"echo-100-32B-1 floor", "echo-100-32B-1 net", "echo-100-32B-1 gobwas",
		"echo-100-1KiB-1-deflate floor", "echo-100-1KiB-1-deflate myriad",
		"broadcast-1000-32B floor", "broadcast-1000-32B myriad", "broadcast-1000-32B gobwas",
	}
	if err != nil || !slices.Equal(did, want) {
		t.Errorf("went on with %q, %v", did, err)
	}
	if did, err := measured(t, t.Context(), testPlan(1), name, nil); len(did) != 0 || err != nil {
		t.Errorf("a finished run went on with %q, %v", did, err)
	}
}

// TestNewVersion checks that a changed server is measured again with a new floor, and no other is.
func TestNewVersion(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	p := testPlan(1)
	p.rows = p.rows[:1]
	if _, err := measured(t, t.Context(), p, name, nil); err != nil {
		t.Fatal(err)
	}
	p.servers[1].Version = "b"
	did, err := measured(t, t.Context(), p, name, nil)
	if want := []string{"echo-100-32B-1 floor", "echo-100-32B-1 myriad"}; err != nil || !slices.Equal(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}

// TestAFailureDoesNotEndTheRun checks that a failure is written, and the next cell measured.
func TestAFailureDoesNotEndTheRun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	failOne := func(_ context.Context, c cell, _ results.Settings) (load.Result, error) {
		if c.server.Name == "net" {
			return load.Result{}, errors.New("died")
		}
		return load.Result{Messages: 1}, nil
	}
	did, err := measured(t, t.Context(), testPlan(1), name, failOne)
	if err != nil || len(did) != 9 {
		t.Fatalf("%q, %v", did, err)
	}
	set, err := results.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if f := set.Faults(testPlan(1).rows[0].Row, "net"); len(f) != 1 || f[0] != "round 1: died" {
		t.Errorf("%q", f)
	}
}

// TestBudget checks that a cell costs its parts, and a plan the sum of its cells.
func TestBudget(t *testing.T) {
	s := results.Settings{Seconds: 1, WarmUp: 0.5, Rounds: 1}
	want := 250*time.Millisecond + 1000*120*time.Microsecond + 1500*time.Millisecond
	if got := echo(1000, 32, 1).cost(s); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if a, b := paced(1000, 32, 1).cost(s), echo(1000, 32, 1).cost(s); a-b != 2200*time.Millisecond {
		t.Errorf("%v and %v", a, b)
	}
	p := testPlan(2)
	var sum time.Duration
	for _, c := range p.cells(&results.Set{}) {
		sum += c.cost(p.settings)
	}
	if got := p.cost(p.cells(&results.Set{})); got != sum || sum == 0 {
		t.Errorf("%v, not %v", got, sum)
	}
}

// TestPromise checks that the whole report takes less than half an hour, and a quick one less than
// five minutes. Of these, four minutes and one minute are left for building.
func TestPromise(t *testing.T) {
	for _, v := range []struct {
		quick bool
		limit time.Duration
	}{{false, 26 * time.Minute}, {true, 4 * time.Minute}} {
		p, err := newPlan(options{quick: v.quick})
		if err != nil {
			t.Fatal(err)
		}
		cells := p.cells(&results.Set{})
		d := p.cost(cells)
		t.Logf("quick %v: %d cells take %v", v.quick, len(cells), d)
		if d > v.limit {
			t.Errorf("that is more than %v", v.limit)
		}
	}
}

// TestServersThatDoNotDiffer checks that nbio's mixed mode is measured only where it differs from
// another mode.
func TestServersThatDoNotDiffer(t *testing.T) {
	p, err := newPlan(options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.cells(&results.Set{}) {
		if c.server.Name == "nbio-mixed" && c.Conns <= 10_000 {
			t.Errorf("%s measures nbio-mixed", c.Name())
		}
	}
}

// TestRowsAreDistinct checks that no two rows have the same name: they would be one in the file.
func TestRowsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range full {
		if seen[r.Name()] {
			t.Errorf("%s twice", r.Name())
		}
		seen[r.Name()] = true
	}
	for _, r := range quick {
		if !seen[r.Name()] {
			t.Errorf("%s is quick, but not in the whole matrix", r.Name())
		}
	}
}
