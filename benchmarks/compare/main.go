// Command compare measures Myriad beside other servers, and writes a report with plots.
//
//	go run ./compare                          # everything, in less than half an hour
//	go run ./compare -quick                   # a part of it, in less than five minutes
//	go run ./compare -rows '^echo-100-' -servers myriad,gws
//	go run ./compare -server 'mine=ws:/path/to/server --port {port}'
//	go run ./compare -report                  # the report again, from the results that are there
//
// It has to be run in the repository, on Linux, with two processors: one for the server, one for the load. What it finds goes
// into -out: results.jsonl, a line per cell as soon as it is measured; README.md, the report; and plots. Interrupted, the same
// command goes on where it was.
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

// options are the command line.
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
	flag.BoolVar(&o.fresh, "fresh", false, "drop the results that are there")
	flag.BoolVar(&o.report, "report", false, "measure nothing: write the report again")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds (default 3; with -quick 1)")
	flag.Float64Var(&o.seconds, "seconds", 0, "seconds that a cell is measured (default 0.8)")
	flag.StringVar(&o.rows, "rows", "", "only the rows whose name this `regexp` matches, such as ^echo-100-")
	flag.StringVar(&o.servers, "servers", "", "only these servers: `names` with commas between them; the floor is always among them")
	flag.Func("server", "a server more: `name=ws:command` or name=tcp:command, {port} in it; may be repeated", func(s string) error {
		o.own = append(o.own, s)
		return nil
	})
	flag.StringVar(&o.out, "out", "out", "`folder` of results and report")
	flag.IntVar(&o.serverCPU, "server-cpu", 0, "the server's `processor`")
	flag.IntVar(&o.loadCPU, "load-cpu", 1, "the load's `processor`")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "compare: %q: it has flags only, see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	// From here on Ctrl-C ends the cell under way, and the processes that are measured.
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
		return fmt.Errorf("%s: there are no results in it", name)
	}
	return writeReport(set, o.out)
}

// measureAll builds what the plan needs, and measures what is not in the file yet.
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
	file, err := begin(name, p, &results.Run{Host: hostFacts(), Commit: commit(), Date: time.Now().UTC().Format("2006-01-02")})
	if err != nil {
		return err
	}
	defer file.Close()
	todo := p.cells(file.Set)
	fmt.Fprintf(os.Stderr, "%d cells, about %s\n", len(todo), minutes(p.cost(todo)))
	return run(ctx, p, todo, file, b.measure, newProgress(os.Stderr, p, todo))
}

// newPlan says what is to be measured, as far as the command line tells.
func newPlan(o options) (*plan, error) {
	p := &plan{rows: full, settings: results.Settings{Seconds: 0.8, WarmUp: 0.3, Rounds: 3}}
	if o.quick {
		p.rows, p.settings.Rounds = quick, 1
	}
	if o.rounds > 0 {
		p.settings.Rounds = o.rounds
	}
	if o.seconds > 0 {
		p.settings.Seconds = o.seconds
	}
	if o.rows != "" {
		match, err := regexp.Compile(o.rows)
		if err != nil {
			return nil, fmt.Errorf("-rows: %w", err)
		}
		var rows []planned
		var names []string
		for _, r := range p.rows {
			names = append(names, r.Name())
			if match.MatchString(r.Name()) {
				rows = append(rows, r)
			}
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("-rows: %q is none of\n%s", o.rows, strings.Join(names, "\n"))
		}
		p.rows = rows
	}
	var err error
	p.servers, err = chosen(o)
	return p, err
}

// writeReport writes README.md and the folder plots, whose old plots go.
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

// docsFrom is the way from a folder to docs/benchmarks, where the pages lie that are written by hand.
func docsFrom(out string) string {
	from, err := filepath.Abs(out)
	if err != nil {
		return ""
	}
	way, err := filepath.Rel(from, filepath.Join(filepath.Dir(output("go", "env", "GOMOD")), "..", "docs", "benchmarks"))
	if err != nil {
		return ""
	}
	return filepath.ToSlash(way)
}
