// Command million opens very many WebSocket connections to one process, echoes a message on each,
// sends one message to all, and measures what that takes.
//
//	go run ./million -conns 10000,100000,1000000
//
// Few systems allow that many descriptors, so it runs in a guest: a machine that QEMU emulates,
// which needs neither privileges nor hardware support. The guest's kernel and busybox come from
// Debian's packages and are fetched on first use. With -native it runs on this machine, up to the
// limit of open files.
//
// An emulated machine is slow, so the server's stops of the world are long. With -clock
// instructions the guest's clock counts the instructions of its processor instead. Times then do
// not depend on the host's speed or load.
//
// Results are kept in million.jsonl, one for each number of connections. million.md is generated
// from them; -report only does that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var begin = time.Now()

// progress prints a line with the time.
func progress(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, a...))
}

func main() {
	conns := flag.String("conns", "1000000", "`numbers` of connections, separated by commas")
	native := flag.Bool("native", false, "measure on this machine, not in a guest")
	onlyReport := flag.Bool("report", false, "do not measure, only generate million.md from million.jsonl")
	memory := flag.Float64("memory", 0, "the guest's memory in `GiB` (0: what the connections need)")
	cpus := flag.Int("cpus", 2, "the guest's processors: with 2, one is the server's and one the client's")
	window := flag.Int("window", 256, "connections to open, and echoes in flight, at a `time`")
	size := flag.Int("size", 32, "`bytes` of a message")
	gogc := flag.Int("gogc", 20, "GOGC of the server, in `percent`")
	cache, _ := os.UserCacheDir()
	cache = filepath.Join(cache, "myriad-million")
	flag.StringVar(&cache, "cache", cache, "`folder` for the guest's kernel and busybox, and for logs of its console")
	out := flag.String("out", "../docs/benchmarks", "`folder` for million.jsonl and million.md")
	secure := flag.Bool("tls", false, "use TLS")
	handOver := flag.Bool("handover", false, "let a new server take over all connections before the echoes")
	clock := flag.String("clock", clockReal,
		"what the guest's `clock` counts: real, or instructions of its only processor, a nanosecond each")
	inGuest := flag.Bool("guest", false, "(only for the guest)")
	flag.Parse()

	numbers, err := parseNumbers(*conns)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "million: -conns:", err)
		flag.Usage()
		os.Exit(2)
	}
	if *clock != clockReal && (*clock != clockInstructions || *native) {
		fmt.Fprintf(os.Stderr, "million: -clock %s: want %s, or %s in a guest\n", *clock, clockReal, clockInstructions)
		os.Exit(2)
	}
	if *onlyReport {
		if err := writeReport(*out); err != nil {
			fmt.Fprintln(os.Stderr, "million:", err)
			os.Exit(1)
		}
		return
	}
	t := trial{Window: *window, Size: *size, GOGC: *gogc, Clock: *clock, TLS: *secure, Handover: *handOver,
		say: progress}
	if *inGuest {
		t.Conns = numbers[0]
		guest(t)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	m := machine{cpus: *cpus, memory: int64(*memory * (1 << 30)), dir: cache}
	if err := measureAll(ctx, t, m, numbers, *native, *out); err != nil {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

func parseNumbers(list string) (numbers []int, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		if n < 1 || n > 1<<26 {
			return nil, fmt.Errorf("%d connections", n)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// measureAll measures each number of connections, and updates the report after each.
func measureAll(ctx context.Context, t trial, m machine, numbers []int, native bool, out string) (err error) {
	if err := build(m.dir, &m, &t); err != nil {
		return err
	}
	if !native {
		if m.qemu, err = findQEMU(); err != nil {
			return err
		}
		if m.files, err = fetch(m.dir); err != nil {
			return err
		}
	}
	var errs []error
	for _, n := range numbers {
		t.Conns = n
		var r *result
		if native {
			r, err = measureHere(ctx, t)
		} else {
			r, err = m.run(ctx, t)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%d connections: %w", n, err))
		}
		if r != nil {
			fmt.Println(r.line())
			errs = append(errs, keep(out, *r))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// build compiles wsserver and this program without a C library, which the guest does not have.
func build(dir string, m *machine, t *trial) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	m.million, m.wsserver = filepath.Join(dir, "million"), filepath.Join(dir, "wsserver")
	t.Server = []string{m.wsserver}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"github.com/myriadnet/myriad/benchmarks/wsserver", "github.com/myriadnet/myriad/benchmarks/million")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building in the folder benchmarks: %w\n%s", err, out)
	}
	return nil
}

// measureHere measures on this machine.
func measureHere(ctx context.Context, t trial) (*result, error) {
	t.Where = "native"
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	const others = 100
	if files.Max < uint64(t.Conns+others) {
		return nil, fmt.Errorf("a process may open %d files here: use up to -conns %d, or a guest (without -native)",
			files.Max, files.Max-others)
	}
	r, err := t.run(ctx)
	return &r, err
}
