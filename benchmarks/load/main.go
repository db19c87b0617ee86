// Command load drives a WebSocket or TCP server and measures what that takes. It prints one line of
// JSON on standard output, and a sentence on standard error.
//
//	load -addr 127.0.0.1:9001 -pid 1234 -conns 100 -size 32 -duration 5s
//	load -server 'wsecho -loops 1 -addr {addr}' -cpu 1 -server-cpu 0 -conns 1000 -inflight 16
//	load -addr 127.0.0.1:9001 -rate 50000 -conns 500
//	load -addr 127.0.0.1:9001 -kind storm -conns 15000
package main

import (
	"context"
	"crypto/tls"
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
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// options are the flags that do not belong to load.Config.
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
	flag.BoolVar(&c.TLS, "tls", false, "TLS below the protocol; the server's certificate is not checked")
	flag.BoolVar(&c.Text, "text", false, "text messages instead of binary ones")
	flag.IntVar(&c.Conns, "conns", 100, "connections")
	flag.IntVar(&c.Size, "size", 32, "`bytes` of a message")
	flag.IntVar(&c.InFlight, "inflight", 1, "messages in flight per connection; churn: connections at a time")
	flag.Float64Var(&c.Rate, "rate", 0, "messages per second in all, whatever the server does; 0: one for each reply")
	flag.Float64Var(&c.Ramp, "ramp", 0, "connections to open per second; 0: as fast as possible")
	flag.IntVar(&c.Opening, "opening", 512, "connections to open at a time")
	flag.IntVar(&c.Loops, "loops", 1, "event loops of the generator")
	flag.DurationVar(&c.WarmUp, "warmup", time.Second, "time before measuring begins")
	flag.DurationVar(&c.Duration, "duration", 5*time.Second, "time to measure, or to hold connections")
	flag.DurationVar(&c.Timeout, "timeout", 30*time.Second, "how long a run may make no progress before it fails")
	flag.IntVar(&c.ServerPID, "pid", 0, "the server's process, to read its CPU time and memory")
	flag.StringVar(&o.server, "server", "",
		"`command` that starts the server; {port} and {addr} are where it must listen")
	flag.StringVar(&o.cpu, "cpu", "", "`processors` for the generator, such as 1 or 1,2")
	flag.StringVar(&o.serverCPU, "server-cpu", "", "`processors` for -server, whose GOMAXPROCS is their number")
	flag.BoolVar(&o.hist, "hist", false, "include the histograms in the result")
}

func run(ctx context.Context, c load.Config, o options, stdout, stderr io.Writer) error {
	if c.Addr == "" && o.server == "" {
		return errors.New("load: want the server's address (-addr) or a command that starts it (-server)")
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
	if c.TLS {
		layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{InsecureSkipVerify: true}})
		if err != nil {
			return err
		}
		c.Layer = layer.Client("")
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

// report writes the result, as a sentence and as JSON.
func report(r load.Result, hist bool, stdout, stderr io.Writer) error {
	fmt.Fprintln(stderr, r.Sentence())
	if r.Bottleneck {
		fmt.Fprintln(stderr, "load: the generator was the bottleneck: it had no time left and the server had; "+
			"give it more processors (-cpu, -loops), or the server fewer")
	}
	if !hist {
		r.Latency.Hist, r.Handshake.Hist = "", ""
	}
	return json.NewEncoder(stdout).Encode(r)
}

// processors parses numbers separated by commas.
func processors(list string) (cpus []int, err error) {
	for f := range strings.SplitSeq(list, ",") {
		if f == "" {
			continue
		}
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("load: processors %q: want numbers separated by commas", list)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}
