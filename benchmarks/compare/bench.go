package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// chosen returns the servers that the flags ask for, the floor first.
func chosen(o options) ([]*server, error) {
	all := servers.All()
	known := len(all)
	for _, spec := range o.own {
		s, err := servers.Parse(spec)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	var want, names []string
	if o.servers != "" {
		want = strings.Split(o.servers, ",")
	}
	var list []*server
	for i, s := range all {
		names = append(names, s.Name)
		if want == nil || slices.Contains(want, s.Name) || s.Name == "floor" || i >= known {
			list = append(list, &server{Server: described(s), from: s})
		}
	}
	for _, w := range want {
		if !slices.Contains(names, w) {
			return nil, fmt.Errorf("-servers: unknown server %q: want some of %s", w, strings.Join(names, ", "))
		}
	}
	return list, nil
}

// described returns a server as it is described in the results. Ratios are to the epoll floor.
func described(s *servers.Server) results.Server {
	v := results.Server{Name: s.Name, Protocol: s.Protocol, Version: s.Version, Tuning: s.Tuned}
	switch {
	case s.Name == "floor":
		v.Role = results.Floor
	case s.Role == servers.Ours:
		v.Role = results.Ours
	case s.Role == servers.Peer:
		v.Role = results.Peer
	default:
		v.Role = results.Other
	}
	return v
}

// bench measures cells.
type bench struct {
	load               string // the generator's binary
	serverCPU, loadCPU int
}

// build builds the load generator and the servers. It removes servers from the plan that cannot be
// built on this machine.
func build(ctx context.Context, p *plan, o options) (*bench, error) {
	if runtime.NumCPU() <= max(o.serverCPU, o.loadCPU) {
		return nil, fmt.Errorf("-server-cpu is %d and -load-cpu is %d, but there are only %d processors",
			o.serverCPU, o.loadCPU, runtime.NumCPU())
	}
	dir, err := servers.DefaultDir()
	if err != nil {
		return nil, err
	}
	b := &bench{filepath.Join(dir, "load"), o.serverCPU, o.loadCPU}
	fmt.Fprintln(os.Stderr, "building load")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.load, "github.com/myriadnet/myriad/benchmarks/load")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("load: %w\n%s", err, out)
	}
	var built []*server
	for _, v := range p.servers {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		fmt.Fprintln(os.Stderr, "building", v.Name)
		err := v.from.Build(dir)
		switch {
		case errors.Is(err, servers.ErrMissing) && v.Role != results.Floor:
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", v.Name, err)
			continue
		case err != nil:
			return nil, err
		}
		v.Version = v.from.Version
		if v.Role == results.Ours {
			v.Version = ourVersion()
		}
		built = append(built, v)
	}
	p.servers = built
	return b, nil
}

// stuck is how long a cell may take in addition to the time that is measured.
const stuck = 45 * time.Second

// measure starts a server, runs the load generator, and stops the server.
func (b *bench) measure(ctx context.Context, c cell, s results.Settings) (load.Result, error) {
	r, err := b.once(ctx, c, s)
	if err != nil { // Ctrl-C may have ended the processes before it is noticed here: not a failure
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return r, err
}

func (b *bench) once(ctx context.Context, c cell, s results.Settings) (r load.Result, err error) {
	port, err := proc.FreePort()
	if err != nil {
		return r, err
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	srv, err := proc.Start(proc.StartConfig{
		Command: c.server.from.Command(port, c.wanted()),
		Addr:    addr, CPUs: []int{b.serverCPU},
	})
	if err != nil {
		return r, err
	}
	defer srv.Stop()
	late := fmt.Errorf("it was not done %v after its time", stuck)
	ctx, cancel := context.WithTimeoutCause(ctx, c.duration(s)+stuck, late)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, b.load, b.flags(c, s, addr, srv.PID)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err != nil:
		return r, fmt.Errorf("%w: %s", err, firstLine(said.String()))
	}
	err = json.Unmarshal(out.Bytes(), &r)
	return r, err
}

func (b *bench) flags(c cell, s results.Settings, addr string, pid int) []string {
	// Some rows have no number of connections or no size. The generator does not accept 0.
	f := []string{
		"-kind", string(c.Kind), "-addr", addr, "-protocol", c.server.Protocol,
		"-conns", strconv.Itoa(max(c.Conns, 1)), "-size", strconv.Itoa(max(c.Size, 1)),
		"-inflight", strconv.Itoa(c.InFlight), "-rate", strconv.FormatFloat(c.Rate, 'f', -1, 64),
		"-warmup", time.Duration(s.WarmUp * float64(time.Second)).String(),
		"-duration", c.duration(s).String(), "-timeout", "10s",
		"-pid", strconv.Itoa(pid), "-cpu", strconv.Itoa(b.loadCPU),
	}
	if c.Compress && c.server.Protocol == "ws" {
		f = append(f, "-compress")
	}
	if c.TLS && c.server.Role != results.Floor {
		f = append(f, "-tls")
	}
	if c.Rate > 0 {
		f = append(f, "-hist")
	}
	return f
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
