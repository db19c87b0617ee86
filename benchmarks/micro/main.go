// Command micro measures the parts of a message, one function at a time, and the public functions
// of other libraries and the standard library for the same. It writes benchstat's tables to
// docs/benchmarks/micro.txt. Run it in the folder benchmarks:
//
//	go run ./micro
//
// It runs the benchmarks of this package, and those of the timing wheel and the task queue in the
// root module, which are internal there. It runs all of them once in each round, so that other work
// of the machine affects all alike. As that only adds time, only the fastest third of each
// benchmark's rounds counts. To run some benchmarks:
//
//	go test ./micro -run '^$' -bench Mask
//
// Connections are in memory, so there are no system calls, which are the largest part of a
// message's cost. The command compare measures whole servers.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// suites are the packages with benchmarks, each with the folder of its module.
var suites = []struct{ dir, pkg string }{
	{".", "./micro"},
	{"..", "./engine/internal/wheel"},
	{"..", "./engine/internal/taskqueue"},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("micro: ")
	rounds := flag.Int("rounds", 18, "how often to run each benchmark; a third counts, and benchstat needs 6 of these")
	benchtime := flag.Duration("benchtime", 25*time.Millisecond, "how long to run a benchmark each time")
	out := flag.String("o", "../docs/benchmarks/micro.txt", "the `file` to write")
	flag.Parse()
	if err := run(*rounds, *benchtime, *out); err != nil {
		log.Fatal(err)
	}
}

func run(rounds int, benchtime time.Duration, out string) error {
	if _, err := os.Stat("micro/main.go"); err != nil {
		return fmt.Errorf("not in the folder benchmarks: %w", err)
	}
	dir, err := os.MkdirTemp("", "micro")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries, err := build(dir)
	if err != nil {
		return err
	}
	var raw bytes.Buffer
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "\rround %d of %d", round+1, rounds)
		for i, b := range binaries {
			c := exec.Command(b, "-test.run=^$", "-test.bench=.", "-test.benchtime="+benchtime.String())
			c.Dir = filepath.Join(suites[i].dir, suites[i].pkg)
			c.Stdout, c.Stderr = &raw, os.Stderr
			if err := c.Run(); err != nil {
				return fmt.Errorf("%s: %w\n%s", suites[i].pkg, err, tail(raw.String()))
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	tables, err := summarize(filepath.Join(dir, "raw.txt"), fastest(raw.String(), max(1, rounds/3)))
	if err != nil {
		return err
	}
	head, err := heading(raw.String(), rounds, benchtime)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(head, tables...), 0o644)
}

func build(dir string) (binaries []string, err error) {
	for _, s := range suites {
		binary := filepath.Join(dir, filepath.Base(s.pkg))
		c := exec.Command("go", "test", "-c", "-o", binary, s.pkg)
		c.Dir, c.Stderr = s.dir, os.Stderr
		if err := c.Run(); err != nil {
			return nil, fmt.Errorf("%v: %w", c, err)
		}
		binaries = append(binaries, binary)
	}
	return binaries, nil
}

// fastest returns the fastest lines of each benchmark, up to keep.
func fastest(raw string, keep int) []byte {
	var names []string
	lines := make(map[string][]string)
	for line := range strings.Lines(raw) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "Benchmark") {
			if lines[name] == nil {
				names = append(names, name)
			}
			lines[name] = append(lines[name], line)
		}
	}
	var kept bytes.Buffer
	for _, name := range names {
		of := lines[name]
		slices.SortStableFunc(of, func(a, b string) int { return cmp.Compare(nanoseconds(a), nanoseconds(b)) })
		for _, line := range of[:min(keep, len(of))] {
			kept.WriteString(line)
		}
	}
	return kept.Bytes()
}

// nanoseconds returns the time in a line such as "BenchmarkMask/size=8-2  9541519  3.936 ns/op".
func nanoseconds(line string) float64 {
	if f := strings.Fields(line); len(f) >= 4 && f[3] == "ns/op" {
		if ns, err := strconv.ParseFloat(f[2], 64); err == nil {
			return ns
		}
	}
	return math.Inf(1)
}

// summarize returns benchstat's tables for each benchmark and unit, with a column for each
// implementation.
func summarize(file string, raw []byte) ([]byte, error) {
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		return nil, err
	}
	const filter = ".unit:sec/op OR .unit:allocs/op .name:(Receive OR Send OR Handshake OR Wheel OR Queue)"
	c := exec.Command("go", "run", benchstat, "-filter", filter, "-table", ".name", "-col", "/impl", file)
	c.Stderr = os.Stderr
	tables, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	return tables, nil
}

// heading describes what was measured, and on what machine.
func heading(raw string, rounds int, benchtime time.Duration) ([]byte, error) {
	versions, err := libraries()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Generated by: go run ./micro -rounds %d -benchtime %v\n", rounds, benchtime)
	fmt.Fprintf(&b, "Only the fastest %d rounds of each benchmark count, because other work only adds time.\n",
		max(1, rounds/3))
	fmt.Fprintf(&b, "%s, %s/%s, %d processors, %s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(raw))
	fmt.Fprintf(&b, "%s\n\n", strings.Join(versions, ", "))
	b.WriteString("myriad: package wsproto, or the engine's own. wsconn: codec/websocket/wsconn.\n")
	b.WriteString("std, time, heap, channel, mutex: what Go has.\n")
	b.WriteString("benchmarks/micro says what each benchmark does, and what a library leaves out.\n\n")
	return b.Bytes(), nil
}

// libraries returns the modules that the benchmarks are linked with, and their versions.
func libraries() ([]string, error) {
	const format = "{{with .Module}}{{if and .Version (not .Replace)}}{{.Path}} {{.Version}}{{end}}{{end}}"
	c := exec.Command("go", "list", "-deps", "-test", "-f", format, suites[0].pkg)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	versions := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(versions)
	return slices.Compact(versions), nil
}

func processor(raw string) string {
	for line := range strings.Lines(raw) {
		if name, ok := strings.CutPrefix(line, "cpu: "); ok {
			return strings.TrimSpace(name)
		}
	}
	return "an unknown processor"
}

// tail returns the end of what a benchmark printed before it failed.
func tail(s string) string { return s[max(0, len(s)-2000):] }
