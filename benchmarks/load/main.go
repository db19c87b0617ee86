// Command load drives a WebSocket or TCP server and says what it took: one JSON line on standard output, and a sentence for
// people on standard error.
//
//	load -addr 127.0.0.1:9001 -pid 1234 -conns 100 -size 32 -duration 5s
//	load -server 'wsecho -loops 1 -addr {addr}' -cpu 1 -server-cpu 0 -conns 1000 -inflight 16
//	load -addr 127.0.0.1:9001 -rate 50000 -conns 500
//	load -addr 127.0.0.1:9001 -kind storm -conns 15000
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// options are what is not load.Config's.
type options struct {
	server         string
	cpu, serverCPU string
	hist           bool
}

func main() {
	var c load.Config
	var o options
	declare(&c, &o)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func declare(c *load.Config, o *options) {
	flag.StringVar((*string)(&c.Kind), "kind", string(load.Echo), "what to do: echo, broadcast, idle, storm or churn")
	flag.StringVar(&c.Addr, "addr", "", "`host:port` of the server (with -server: a free port)")
	flag.StringVar(&c.Protocol, "protocol", "ws", "ws or tcp")
	flag.StringVar(&c.Path, "path", "/", "`path` of the WebSocket's URL")
	flag.BoolVar(&c.Compress, "compress", false, "offer permessage-deflate, without context takeover")
	flag.BoolVar(&c.Text, "text", false, "text messages instead of binary ones")
	flag.IntVar(&c.Conns, "conns", 100, "connections")
	flag.IntVar(&c.Size, "size", 32, "`bytes` of a message")
	flag.IntVar(&c.InFlight, "inflight", 1, "messages under way per connection; churn: connections at a time")
	flag.Float64Var(&c.Rate, "rate", 0, "messages a second in all, whatever the server does; 0: one for each that comes back")
	flag.Float64Var(&c.Ramp, "ramp", 0, "connections opened a second; 0: as fast as it goes")
	flag.IntVar(&c.Opening, "opening", 512, "connections being opened at a time")
	flag.IntVar(&c.Loops, "loops", 1, "event loops of the generator")
	flag.DurationVar(&c.WarmUp, "warmup", time.Second, "time before measuring begins")
	flag.DurationVar(&c.Duration, "duration", 5*time.Second, "time that is measured, or that connections are held")
	flag.DurationVar(&c.Timeout, "timeout", 30*time.Second, "how long nothing may happen before that is an error")
	flag.IntVar(&c.ServerPID, "pid", 0, "the server's process, to read its processor time and memory")
	flag.StringVar(&o.server, "server", "", "`command` that starts the server; {port} and {addr} stand for where it is to listen")
	flag.StringVar(&o.cpu, "cpu", "", "`processors` that the generator runs on, such as 1 or 1,2")
	flag.StringVar(&o.serverCPU, "server-cpu", "", "`processors` that -server runs on, with as many for GOMAXPROCS")
	flag.BoolVar(&o.hist, "hist", false, "put the whole histograms into the result")
}

func run(ctx context.Context, c load.Config, o options, stdout, stderr io.Writer) error {
	if c.Addr == "" && o.server == "" {
		return errors.New("load: say where the server is, by -addr, or how to start one, by -server")
	}
	own, err := processors(o.cpu)
	if err != nil {
		return err
	}
	theirs, err := processors(o.serverCPU)
	if err != nil {
		return err
	}
	if o.server != "" {
		s, err := proc.Start(proc.StartConfig{Command: strings.Fields(o.server), Addr: c.Addr, CPUs: theirs})
		if err != nil {
			return err
		}
		defer s.Stop()
		c.Addr, c.ServerPID = s.Addr, s.PID
	}
	if len(own) > 0 {
		runtime.GOMAXPROCS(len(own))
		if err := proc.Pin(own...); err != nil {
			return err
		}
	}
	r, err := load.Run(ctx, c)
	if err != nil {
		return err
	}
	return report(r, o.hist, stdout, stderr)
}

// report writes the result, for people and for programs.
func report(r load.Result, hist bool, stdout, stderr io.Writer) error {
	fmt.Fprintln(stderr, r.Sentence())
	if r.Bottleneck {
		fmt.Fprintln(stderr, "load: the generator was the bottleneck: it had no time left and the server had; give it more processors (-cpu, -loops), or the server fewer")
	}
	if !hist {
		r.Latency.Hist, r.Handshake.Hist = "", ""
	}
	return json.NewEncoder(stdout).Encode(r)
}

// processors reads numbers with commas between them.
func processors(list string) (cpus []int, err error) {
	for f := range strings.SplitSeq(list, ",") {
		if f == "" {
			continue
		}
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("load: processors %q: numbers with commas between them are wanted", list)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}
