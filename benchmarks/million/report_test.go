package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample(where string, conns int) result {
	r := result{Where: where, Conns: conns, Opened: conns, Echoed: conns, Heard: conns, Kernel: "6.1.0"}
	r.Before.System = systemMemory{Kernel: 1000, Available: 50_000_000, Slab: 500}
	r.Before.ServerRSS = 1_000_000
	r.Connected.ServerRSS = 330 * int64(conns)
	r.After.ServerRSS = 320 * int64(conns)
	r.After.System = systemMemory{Kernel: 1000 + 6400*int64(conns), Slab: 500 + 6000*int64(conns),
		Slabs: []slab{{"TCP", 2 * int64(conns), 2304, 4608 * int64(conns)}}}
	r.After.Server.Go.MaxPause = 0.0005
	r.After.Server.Go.HeapLive = 256 * int64(conns)
	r.Connect = span{Seconds: 12.34, Server: 5.67}
	return r
}

func TestReport(t *testing.T) {
	counted := sample("guest", 20_000)
	counted.Clock = clockInstructions
	counted.After.Server.Go.PauseHistogram = []pauseBucket{{25e-6, 1}}
	dir := t.TempDir()
	for _, r := range []result{
		sample("guest", 1_000_000), sample("native", 15_000), sample("guest", 10_000), counted,
	} {
		if err := keep(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	again := sample("guest", 10_000)
	again.Failed = 7
	if err := keep(dir, again); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "million.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| connections | **10,000** | **1,000,000** |",
		"| connections | **15,000** |",
		"| RSS of the whole process | **330** | **330** |",
		"| RSS, growth since before the first connection | 230 | 329 |",
		"| live Go heap | 256 | 256 |",
		"| kernel memory | 6,400 | 6,400 |",
		"| of that in slabs (sockets, files, epoll) | 6,000 | 6,000 |",
		"| longest since the process started, upper bound | 500 µs | 500 µs |",
		"with a clock that counts instructions",
		"| connections | **20,000** |",
		"| longest since the first connection, upper bound | **25 µs** |",
		"| failed connections / wrong messages | 7 / 0 | 0 / 0 |",
		"| open all | 12.3 (5.7) | 12.3 (5.7) |",
		"Kernel memory with 1,000,000 connections",
		"| TCP | 2,000,000 | 2,304 | 4,608 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("million.md lacks %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "million.jsonl"))
	if err != nil || strings.Count(string(lines), "\n") != 4 {
		t.Errorf("million.jsonl, %v: %s", err, lines)
	}
}

func TestKeepRefusesDamagedData(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "million.jsonl")
	if err := os.WriteFile(name, []byte("not JSON\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := keep(dir, sample("guest", 10)); err == nil {
		t.Error("no error")
	}
	if b, _ := os.ReadFile(name); string(b) != "not JSON\n" {
		t.Errorf("the file was changed to %q", b)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567",
	} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestFlaw(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*result)
	}{
		{"none", func(*result) {}},
		{"one not open", func(r *result) { r.Opened-- }},
		{"one did not echo", func(r *result) { r.Echoed-- }},
		{"one did not hear", func(r *result) { r.Heard-- }},
		{"one ended", func(r *result) { r.Failed++ }},
		{"one wrong", func(r *result) { r.Wrong++ }},
	} {
		r := sample("guest", 100)
		c.spoil(&r)
		if err := r.flaw(); (err == nil) != (c.name == "none") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
