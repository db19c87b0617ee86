package main

import "testing"

func TestFastest(t *testing.T) {
	const raw = "pkg: a\ncpu: b\n" +
		"BenchmarkA-2 \t 10\t 30.5 ns/op\t 1 B/op\nBenchmarkB-2 \t 10\t 7 ns/op\nPASS\n" +
		"BenchmarkA-2 \t 10\t 4.5 ns/op\t 2 B/op\nBenchmarkB-2 \t 10\t 9 ns/op\nPASS\n" +
		"BenchmarkA-2 \t 10\t 200 ns/op\t 3 B/op\nBenchmarkB-2 \t 10\t 8 ns/op\nPASS\n"
	const want = "BenchmarkA-2 \t 10\t 4.5 ns/op\t 2 B/op\nBenchmarkA-2 \t 10\t 30.5 ns/op\t 1 B/op\n" +
		"BenchmarkB-2 \t 10\t 7 ns/op\nBenchmarkB-2 \t 10\t 8 ns/op\n"
	if got := string(fastest(raw, 2)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
