package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// measure measures a cell once.
type measure func(ctx context.Context, c cell, s results.Settings) (load.Result, error)

// run measures cells and writes each to the file at once. A cell that fails is written with its
// error, and run goes on. run fails if the file fails or the context ends. The cell that is
// measured when the context ends is left to the next run.
func run(ctx context.Context, p *plan, todo []cell, file *results.File, m measure, bar *progress) error {
	defer bar.end()
	for _, c := range todo {
		bar.begin(c)
		r, err := m(ctx, c, p.settings)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		out := &results.Cell{Run: file.Run.ID(), Round: c.round, Server: c.server.Name, Result: r}
		out.Version = c.server.Version
		if err != nil {
			out.Error = err.Error()
		}
		// The row is what was asked for, even if the generator did less.
		cfg := c.Config()
		cfg.Protocol = c.server.Protocol
		out.Result.Config = cfg
		if c.Rate == 0 {
			out.Result.Latency.Hist = "" // only rows with a fixed rate are drawn
		}
		out.Result.Handshake.Hist = ""
		if err := file.Add(out); err != nil {
			return err
		}
		bar.done(c, out)
	}
	return nil
}

var errInterrupted = errors.New("interrupted: the same command continues from here")

// begin opens the file and adds the conditions under which the plan is measured.
func begin(name string, p *plan, r *results.Run) (*results.File, error) {
	file, err := results.Open(name)
	if err != nil {
		return nil, err
	}
	r.Settings = p.settings
	for _, v := range p.servers {
		r.Servers = append(r.Servers, v.Server)
	}
	if file.Run != nil {
		r.Servers = joined(r.Servers, file.Run.Servers)
	}
	if err := file.Begin(r); err != nil {
		file.Close()
		if errors.Is(err, results.ErrOther) {
			err = fmt.Errorf("%s: %w: use -fresh to delete them, or another folder (-out)", name, err)
		}
		return nil, err
	}
	return file, nil
}

// joined returns the servers of now, and those of before that do not take part now.
func joined(now, before []results.Server) []results.Server {
	known := map[string]bool{}
	for _, v := range now {
		known[v.Name] = true
	}
	for _, v := range before {
		if !known[v.Name] {
			now = append(now, v)
		}
	}
	return now
}
