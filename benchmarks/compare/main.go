// Command compare measures Myriad and other servers, and writes a report with plots.
//
//	go run ./compare                          # everything, in less than half an hour
//	go run ./compare -quick                   # a part of it, in less than five minutes
//	go run ./compare -rows '^echo-100-' -servers myriad,gws
//	go run ./compare -server 'mine=ws:/path/to/server --port {port}'
//	go run ./compare -report                  # only the report, from existing results
//
// Run it in the repository, on Linux, with two processors: one for the server, one for the load. It
// writes into the folder -out: results.jsonl, to which it adds a line as soon as a cell is
// measured; README.md, the report; and plots. After an interruption, the same command continues.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/report"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// options are the flags.
type options struct {
	quick, fresh, report bool
	rounds               int
	seconds              float64
	rows, out            string
	servers              string
	own                  []string // -server
	serverCPU, loadCPU   int
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "fewer rows, one round")
	flag.BoolVar(&o.fresh, "fresh", false, "delete existing results first")
	flag.BoolVar(&o.report, "report", false, "do not measure, only write the report")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds (default 3; with -quick 1)")
	flag.Float64Var(&o.seconds, "seconds", 0, "seconds to measure each cell (default 0.5)")
	flag.StringVar(&o.rows, "rows", "", "only rows whose name matches this `regexp`, such as ^echo-100-")
	flag.StringVar(&o.servers, "servers", "", "only these servers and the floor: `names` separated by commas")
	own := func(s string) error {
		o.own = append(o.own, s)
		return nil
	}
	flag.Func("server", "another server: `name=ws:command` or name=tcp:command with {port}; may be repeated", own)
	flag.StringVar(&o.out, "out", "out", "`folder` for results and report")
	flag.IntVar(&o.serverCPU, "server-cpu", 0, "the server's `processor`")
	flag.IntVar(&o.loadCPU, "load-cpu", 1, "the load's `processor`")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "compare: unexpected argument %q: see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	// From here on Ctrl-C ends the current cell and its processes.
	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop(errInterrupted)
	}()
	if err := compare(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o options) error {
	name := filepath.Join(o.out, "results.jsonl")
	if !o.report {
		p, err := newPlan(o)
		if err != nil {
			return err
		}
		if err := measureAll(ctx, o, p, name); err != nil {
			return err
		}
	}
	set, err := results.Read(name)
	if err != nil {
		return err
	}
	if set.Run == nil {
		return fmt.Errorf("%s: no results", name)
	}
	return writeReport(set, o.out)
}

// measureAll builds what the plan needs, and measures what is not yet in the file.
func measureAll(ctx context.Context, o options, p *plan, name string) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.fresh {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	b, err := build(ctx, p, o)
	if err != nil {
		return err
	}
	conditions := &results.Run{Host: hostFacts(), Commit: commit(), Date: time.Now().UTC().Format("2006-01-02")}
	file, err := begin(name, p, conditions)
	if err != nil {
		return err
	}
	defer file.Close()
	todo := p.cells(file.Set)
	fmt.Fprintf(os.Stderr, "%d cells, about %s\n", len(todo), minutes(p.cost(todo)))
	return run(ctx, p, todo, file, b.measure, newProgress(os.Stderr, p, todo))
}

// newPlan makes the plan that the flags describe.
func newPlan(o options) (*plan, error) {
	p := &plan{rows: full, settings: results.Settings{Seconds: 0.5, WarmUp: 0.2, Rounds: 3}}
	if o.quick {
		p.rows, p.settings.Rounds = quick, 1
	}
	if o.rounds > 0 {
		p.settings.Rounds = o.rounds
	}
	if o.seconds > 0 {
		p.settings.Seconds = o.seconds
	}
	var err error
	if p.rows, err = matching(p.rows, o.rows); err != nil {
		return nil, err
	}
	p.servers, err = chosen(o)
	return p, err
}

// matching returns the rows whose names match a regular expression.
func matching(all []planned, expr string) (rows []planned, err error) {
	match, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Name())
		if match.MatchString(r.Name()) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("-rows: %q matches none of\n%s", expr, strings.Join(names, "\n"))
	}
	return rows, nil
}

// writeReport writes README.md and replaces the folder plots.
func writeReport(set *results.Set, out string) error {
	plots := filepath.Join(out, "plots")
	if err := os.RemoveAll(plots); err != nil {
		return err
	}
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	if err := report.Plots(set, plots); err != nil {
		return err
	}
	page := report.Markdown(report.Page{Set: set, Docs: docsFrom(out), LeftOut: leftOut})
	name := filepath.Join(out, "README.md")
	if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
		return err
	}
	fmt.Println(name)
	return nil
}

// docsFrom returns the path from a folder to docs/benchmarks, which has the hand-written pages.
func docsFrom(out string) string {
	from, err := filepath.Abs(out)
	if err != nil {
		return ""
	}
	module := filepath.Dir(output("go", "env", "GOMOD"))
	path, err := filepath.Rel(from, filepath.Join(module, "..", "docs", "benchmarks"))
	if err != nil {
		return ""
	}
	return filepath.ToSlash(path)
}
