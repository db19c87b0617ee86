// Command micro measures what a message is made of, one function at a time, beside the public functions of other libraries and of the
// standard library, and writes benchstat's tables of it to docs/benchmarks/micro.txt. It is run in the folder benchmarks:
//
//	go run ./micro
//
// The benchmarks are those of this package, and of the timing wheel and the task queue in the root module, which nothing outside can
// import. They are run in rounds, all of them in each, so that what else the machine does falls on all alike; and as that only ever
// adds time, the fastest third of each benchmark's rounds is what counts. To run some of them:
//
//	go test ./micro -run '^$' -bench Mask
//
// Connections are in memory here: that leaves out the system calls, which are most of what a message costs. What a library takes
// altogether is for the command compare to tell.
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
	rounds := flag.Int("rounds", 18, "how often each benchmark is run; of a third of these benchstat wants 6 to tell a difference from noise")
	benchtime := flag.Duration("benchtime", 25*time.Millisecond, "how long each time")
	out := flag.String("o", "../docs/benchmarks/micro.txt", "the `file` that is written")
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

// fastest keeps, of all lines that there are of a benchmark, so many.
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

// nanoseconds is what an operation took by a line such as "BenchmarkMask/size=8-2  9541519  3.936 ns/op".
func nanoseconds(line string) float64 {
	if f := strings.Fields(line); len(f) >= 4 && f[3] == "ns/op" {
		if ns, err := strconv.ParseFloat(f[2], 64); err == nil {
			return ns
		}
	}
	return math.Inf(1)
}

// summarize has benchstat make a table for each benchmark and unit, with a column for each implementation.
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

// heading says what was measured, and on what.
func heading(raw string, rounds int, benchtime time.Duration) ([]byte, error) {
	versions, err := libraries()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Made by: go run ./micro -rounds %d -benchtime %v\n", rounds, benchtime)
	fmt.Fprintf(&b, "Of each benchmark's rounds the fastest %d count: what else a machine does only adds time.\n", max(1, rounds/3))
	fmt.Fprintf(&b, "%s, %s/%s, %d processors, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(raw))
	fmt.Fprintf(&b, "%s\n\n", strings.Join(versions, ", "))
	b.WriteString("myriad: package wsproto, or the engine's own. wsconn: codec/websocket/wsconn. std, time, heap, channel, mutex: what Go has.\n")
	b.WriteString("What each of the benchmarks does, and what a library does not do in it, is said in benchmarks/micro.\n\n")
	return b.Bytes(), nil
}

// libraries are the modules that the benchmarks are linked with, and their versions.
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

// tail is the end of what a benchmark said before it failed.
func tail(s string) string { return s[max(0, len(s)-2000):] }
