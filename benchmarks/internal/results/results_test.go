package results

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

var (
	floorServer = Server{Name: "floor", Protocol: "tcp", Role: Floor, Version: "1"}
	oursServer  = Server{Name: "myriad", Protocol: "ws", Role: Ours, Version: "a"}
	peerServer  = Server{Name: "gws", Protocol: "ws", Role: Peer, Version: "v1"}
	otherTCP    = Server{Name: "net", Protocol: "tcp", Role: Peer, Version: "go1.26"}
	testRow     = Row{Kind: load.Echo, Conns: 100, Size: 32, InFlight: 1}
)

func testRun() *Run {
	return &Run{Host: Host{CPU: "one"}, Settings: Settings{Seconds: 1, Rounds: 3},
		Servers: []Server{floorServer, oursServer, peerServer, otherTCP}}
}

func testCell(v Server, round int, cpu float64) *Cell {
	return &Cell{Run: testRun().ID(), Round: round, Server: v.Name, Version: v.Version,
		Result: load.Result{Config: testRow.Config(), Messages: 10, ServerCPU: cpu, RSS: 100,
			Latency: load.Latency{P50: cpu, P99: cpu}}}
}

func open(t *testing.T, name string) *File {
	t.Helper()
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func add(t *testing.T, f *File, cells ...*Cell) {
	t.Helper()
	for _, c := range cells {
		if err := f.Add(c); err != nil {
			t.Fatal(err)
		}
	}
}

func begun(t *testing.T) (*File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "results.jsonl")
	f := open(t, name)
	if err := f.Begin(testRun()); err != nil {
		t.Fatal(err)
	}
	return f, name
}

// TestOpenAfterAnIncompleteLine checks that an interruption in the middle of a line loses only that
// line, and that the file can be continued.
func TestOpenAfterAnIncompleteLine(t *testing.T) {
	f, name := begun(t)
	add(t, f, testCell(floorServer, 1, 4), testCell(oursServer, 1, 5))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// Only the end of the line is missing.
	if err := os.WriteFile(name, whole[:len(whole)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	again := open(t, name)
	if !again.Has(testRow, floorServer, 1) || again.Has(testRow, oursServer, 1) {
		t.Fatal("want the incomplete line dropped, and only this one")
	}
	add(t, again, testCell(oursServer, 1, 6))
	set, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if x := set.Of(testRow, "myriad", CPU); x.Median != 6 || x.N != 1 {
		t.Errorf("afterwards: %+v", x)
	}
}

func TestReadNamesABadLine(t *testing.T) {
	f, name := begun(t)
	add(t, f, testCell(floorServer, 1, 4))
	if _, err := f.f.WriteString("not JSON\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a bad line in the middle: %v", err)
	}
}

// TestOtherMachinesAreNotMixed checks which differences between runs are an error.
func TestOtherMachinesAreNotMixed(t *testing.T) {
	for _, v := range []struct {
		name  string
		edit  func(*Run)
		other bool
	}{
		{"machine", func(r *Run) { r.Host.CPU = "two" }, true},
		{"seconds", func(r *Run) { r.Settings.Seconds = 2 }, true},
		{"rounds", func(r *Run) { r.Settings.Rounds = 9 }, false},
		{"servers", func(r *Run) { r.Servers = r.Servers[:2] }, false},
		{"commit and date", func(r *Run) { r.Commit, r.Date = "b", "tomorrow" }, false},
	} {
		f, _ := begun(t)
		r := testRun()
		v.edit(r)
		if err := f.Begin(r); errors.Is(err, ErrOther) != v.other {
			t.Errorf("other %s: %v", v.name, err)
		}
	}
}

// TestRatios checks that each round's figure is divided by that round's floor, and that the median
// is of these ratios.
func TestRatios(t *testing.T) {
	f, _ := begun(t)
	for round, v := range [][2]float64{{4, 8}, {8, 12}, {5, 5}} { // 2, 1.5, 1
		add(t, f, testCell(floorServer, round+1, v[0]), testCell(oursServer, round+1, v[1]))
	}
	if got, want := f.Ratio(testRow, "myriad", CPU), (Spread{1.5, 1, 2, 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := f.Ratio(testRow, "floor", CPU), (Spread{1, 1, 1, 3}); got != want {
		t.Errorf("the floor to itself: %+v", got)
	}
}

// TestRatioIsToTheFloorBefore checks that a cell that is measured later, after an interruption, is
// compared with the floor that was measured then.
func TestRatioIsToTheFloorBefore(t *testing.T) {
	f, name := begun(t)
	add(t, f, testCell(floorServer, 1, 4), testCell(oursServer, 1, 8))
	add(t, f, testCell(floorServer, 1, 10), testCell(peerServer, 1, 20))
	set, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"myriad", "gws"} {
		if x := set.Ratio(testRow, name, CPU); x.Median != 2 {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func TestSpreadOfAnEvenNumber(t *testing.T) {
	if got, want := spread([]float64{4, 1, 2, 3}), (Spread{2.5, 1, 4, 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestFaultsDoNotCount checks that a round with a fault has no figures, and is reported.
func TestFaultsDoNotCount(t *testing.T) {
	for _, v := range []struct {
		name string
		edit func(*Cell)
		want string
	}{
		{"error", func(c *Cell) { c.Error = "died" }, "died"},
		{"failed", func(c *Cell) { c.Result.Failed, c.Result.FirstError = 3, "reset" }, "3 connections failed: reset"},
		{"wrong", func(c *Cell) { c.Result.Wrong = 1 }, "1 wrong messages"},
		{"silent", func(c *Cell) { c.Result.Messages = 0 }, "no message came back"},
	} {
		f, _ := begun(t)
		bad := testCell(oursServer, 2, 99)
		v.edit(bad)
		add(t, f, testCell(floorServer, 1, 4), testCell(oursServer, 1, 4), testCell(floorServer, 2, 4), bad)
		if x := f.Of(testRow, "myriad", CPU); x.N != 1 || x.Median != 4 {
			t.Errorf("%s: %+v", v.name, x)
		}
		if got := f.Faults(testRow, "myriad"); len(got) != 1 || got[0] != "round 2: "+v.want {
			t.Errorf("%s: %q", v.name, got)
		}
	}
}

// TestVerdicts checks that a difference within the noise is even, and that only peers of the same
// protocol count.
func TestVerdicts(t *testing.T) {
	for _, v := range []struct {
		name       string
		ours, peer float64
		want       Verdict
	}{
		{"ahead", 4, 5, Ahead},
		{"a little ahead", 4.95, 5, Even},
		{"a little behind", 5.1, 5, Even},
		{"behind", 5.3, 5, Behind},
	} {
		f, _ := begun(t)
		for round := 1; round <= 3; round++ {
			add(t, f, testCell(floorServer, round, 4), testCell(oursServer, round, v.ours),
				testCell(peerServer, round, v.peer), testCell(otherTCP, round, 1))
		}
		var cpu []Comparison
		for _, c := range f.Compare() {
			if c.Measure.Name == "CPU" {
				cpu = append(cpu, c)
			}
		}
		if len(cpu) != 1 || cpu[0].Verdict != v.want || cpu[0].Peer.Name != "gws" {
			t.Errorf("%s: %+v", v.name, cpu)
		}
	}
}

// TestAFailureIsALoss checks that ours is behind if it has no figures and the peer has.
func TestAFailureIsALoss(t *testing.T) {
	f, _ := begun(t)
	bad := testCell(oursServer, 1, 1)
	bad.Error = "died"
	add(t, f, testCell(floorServer, 1, 4), bad, testCell(peerServer, 1, 9))
	all := f.Compare()
	if len(all) != len(Measures) {
		t.Fatalf("%d comparisons", len(all))
	}
	for _, c := range all {
		if c.Verdict != Behind || c.Fault != "round 1: died" {
			t.Errorf("%s: %v %q", c.Measure.Name, c.Verdict, c.Fault)
		}
	}
}

func TestRowNames(t *testing.T) {
	for _, v := range []struct {
		row         Row
		name, title string
	}{
		{testRow, "echo-100-32B-1", "100 connections, 32 B, 1 in flight"},
		{Row{Kind: load.Echo, Conns: 1, Size: 1 << 20, InFlight: 16, Compress: true},
			"echo-1-1MiB-16-deflate", "1 connection, 1 MiB, 16 in flight, compressed"},
		{Row{Kind: load.Echo, Conns: 100, Size: 32, InFlight: 1, TLS: true},
			"echo-100-32B-1-tls", "100 connections, 32 B, 1 in flight, TLS"},
		{Row{Kind: load.Echo, Conns: 1000, Size: 1 << 10, InFlight: 1, Rate: 20000},
			"echo-1000-1KiB-20000ps", "1,000 connections, 1 KiB, 20,000 messages/s"},
		{Row{Kind: load.Broadcast, Conns: 10000, Size: 32, InFlight: 1},
			"broadcast-10000-32B", "10,000 receivers, 32 B"},
		{Row{Kind: load.Idle, Conns: 10000, InFlight: 1}, "idle-10000", "10,000 idle connections"},
		{Row{Kind: load.Storm, Conns: 15000, InFlight: 1}, "storm-15000", "15,000 connections at once"},
		{Row{Kind: load.Churn, Size: 32, InFlight: 16}, "churn-32B-16", "connect, 32 B, close; 16 at a time"},
	} {
		if v.row.Name() != v.name || v.row.Title() != v.title {
			t.Errorf("%q, %q", v.row.Name(), v.row.Title())
		}
		if RowOf(v.row.Config()) != v.row {
			t.Errorf("%s: RowOf(Config()) is another row", v.name)
		}
	}
}

// TestMeasures checks which figures count for each kind of load.
func TestMeasures(t *testing.T) {
	r := load.Result{ServerCPU: 1, RSS: 2, PerConn: 3,
		Latency: load.Latency{P50: 4, P99: 5}, Handshake: load.Latency{P50: 6, P99: 7}}
	for _, v := range []struct {
		kind                  load.Kind
		cpu, memory, p50, p99 float64
	}{
		{load.Echo, 1, 2, 4, 5},
		{load.Broadcast, 1, 2, 4, 5},
		{load.Idle, 0, 3, 0, 0},
		{load.Storm, 1, 3, 6, 7},
		{load.Churn, 1, 2, 6, 7},
	} {
		r.Kind = v.kind
		if CPU(&r) != v.cpu || Memory(&r) != v.memory || P50(&r) != v.p50 || P99(&r) != v.p99 {
			t.Errorf("%s: %v %v %v %v", v.kind, CPU(&r), Memory(&r), P50(&r), P99(&r))
		}
	}
}

func TestFigures(t *testing.T) {
	for _, v := range []struct{ got, want string }{
		{Figure(0.1234), "0.123"}, {Figure(4.567), "4.57"}, {Figure(45.67), "45.7"}, {Figure(1234567), "1,234,567"},
		{Size(356), "356 B"}, {Size(20 << 10), "20.0 KiB"}, {Size(3 << 20), "3.00 MiB"},
		{Time(12.3), "12.3 µs"}, {Time(4560), "4.56 ms"},
	} {
		if v.got != v.want {
			t.Errorf("%q, want %q", v.got, v.want)
		}
	}
}
