package report

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

var fixtureServers = []results.Server{
	{Name: "floor", Protocol: "tcp", Role: results.Floor, Version: "1"},
	{Name: "floor-uring", Protocol: "tcp", Role: results.Other, Version: "1"},
	{Name: "myriad", Protocol: "ws", Role: results.Ours, Version: "abc", Tuning: "one loop"},
	{Name: "gws", Protocol: "ws", Role: results.Peer, Version: "v1.8.9"},
	{Name: "gorilla", Protocol: "ws", Role: results.Peer, Version: "v1.5.3"},
	{Name: "coder", Protocol: "ws", Role: results.Peer, Version: "v1.8.14"},
	{Name: "gobwas", Protocol: "ws", Role: results.Peer, Version: "v1.4.0"},
	{Name: "melody", Protocol: "ws", Role: results.Peer, Version: "v1.4.0"},
	{Name: "myriad-tcp", Protocol: "tcp", Role: results.Ours, Version: "abc"},
	{Name: "netpoll", Protocol: "tcp", Role: results.Peer, Version: "v0.7.0"},
	{Name: "net", Protocol: "tcp", Role: results.Peer, Version: "go1.26"},
}

var fixtureCost = map[string]float64{
	"floor": 1, "floor-uring": 0.94, "myriad": 1.04, "gws": 1.4, "gorilla": 1.7, "coder": 2.1,
	"gobwas": 3.4, "melody": 1.9, "myriad-tcp": 1.01, "netpoll": 1.25, "net": 1.3,
}

var fixtureRows = []results.Row{
	{Kind: load.Echo, Conns: 1, Size: 32, InFlight: 1},
	{Kind: load.Echo, Conns: 100, Size: 32, InFlight: 1},
	{Kind: load.Echo, Conns: 1000, Size: 32, InFlight: 1},
	{Kind: load.Echo, Conns: 10000, Size: 32, InFlight: 1},
	{Kind: load.Echo, Conns: 1000, Size: 1024, InFlight: 1},
	{Kind: load.Echo, Conns: 100, Size: 128, InFlight: 16},
	{Kind: load.Echo, Conns: 100, Size: 64 << 10, InFlight: 1},
	{Kind: load.Echo, Conns: 1000, Size: 32, InFlight: 1, Rate: 20000},
	{Kind: load.Echo, Conns: 100, Size: 1024, InFlight: 1, Compress: true},
	{Kind: load.Broadcast, Conns: 1000, Size: 32, InFlight: 1},
	{Kind: load.Idle, Conns: 10000, InFlight: 1},
	{Kind: load.Storm, Conns: 15000, InFlight: 1},
	{Kind: load.Churn, Conns: 0, Size: 32, InFlight: 16},
}

// fixture makes up results. edit may change a cell before it is added.
func fixture(t *testing.T, edit func(*results.Cell)) *results.Set {
	t.Helper()
	f, err := results.Open(filepath.Join(t.TempDir(), "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run := &results.Run{Servers: fixtureServers, Commit: "abc", Date: "2026-01-02",
		Host: results.Host{CPU: "A processor", Cores: 2, Memory: 8, System: "Debian", Kernel: "6.1", Go: "go1.26",
			GCC: "gcc 12"},
		Settings: results.Settings{Seconds: 1, WarmUp: 0.3, Rounds: 3}}
	if err := f.Begin(run); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := 1; round <= 3; round++ {
		for _, row := range fixtureRows {
			for _, v := range fixtureServers {
				if row.Compress && v.Protocol == "tcp" && v.Role != results.Floor {
					continue
				}
				c := madeUp(rnd, run, row, v, round)
				if edit != nil {
					edit(c)
				}
				if err := f.Add(c); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return f.Set
}

func madeUp(rnd *rand.Rand, run *results.Run, row results.Row, v results.Server, round int) *results.Cell {
	factor := fixtureCost[v.Name]
	cost := factor * (4 + float64(row.Size)/5000) / float64(row.InFlight) * (0.98 + rnd.Float64()*0.04)
	if row.InFlight > 1 && v.Role == results.Peer && v.Protocol == "ws" {
		cost *= 14
	}
	l := load.Latency{Count: 40000, P50: cost * 10, P99: cost * 30}
	if row.Rate > 0 {
		h := hdrhistogram.New(1, 60_000_000_000, 3)
		for range 8000 {
			_ = h.RecordValue(int64(1000 * cost * (4 + rnd.ExpFloat64()*rnd.ExpFloat64()*5)))
		}
		b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			panic(err)
		}
		l.Hist = string(b)
	}
	return &results.Cell{Run: run.ID(), Round: round, Server: v.Name, Version: v.Version, Result: load.Result{
		Config: row.Config(), Opened: row.Conns, Messages: 100000, PerSecond: 9e5 / cost, ServerCPU: cost,
		Latency: l, Handshake: l, RSS: int64(8e6 * factor * factor), RSSBefore: 5e6,
		PerConn: 240 * factor * factor * factor * factor}}
}
