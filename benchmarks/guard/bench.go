//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
	"github.com/myriadnet/myriad/engine/metrics"
)

// leftOut is the reason why something cannot be measured here.
type leftOut string

func (l leftOut) Error() string { return string(l) }

// bench has the servers and the processors for them. This process is the load generator.
type bench struct {
	dir     string // folder of binaries
	cpus    []int  // processors for the server; none: all
	noRatio string // why ratios of CPU time cannot be measured here, or ""
	built   map[string]*servers.Server
}

// newBench builds the servers, and binds this process to another processor than the server's.
func newBench() (*bench, error) {
	dir, err := servers.DefaultDir()
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, built: make(map[string]*servers.Server)}
	for _, name := range []string{"floor", "myriad", "myriad-tcp"} {
		s, err := servers.Find(name)
		if err != nil {
			return nil, err
		}
		progress("building %s", name)
		if err := s.Build(dir); errors.Is(err, servers.ErrMissing) {
			b.noRatio = err.Error()
		} else if err != nil {
			return nil, err
		}
		b.built[name] = s
	}
	b.built["wsserver"] = servers.WSServer()
	if err := b.built["wsserver"].Build(dir); err != nil {
		return nil, err
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("processors of this process: %w", err)
	}
	var mine []int
	for cpu := 0; len(mine) < min(2, set.Count()); cpu++ {
		if set.IsSet(cpu) {
			mine = append(mine, cpu)
		}
	}
	if len(mine) < 2 {
		b.noRatio = "there is only one processor"
		return b, nil
	}
	b.cpus = mine[:1]
	runtime.GOMAXPROCS(1)
	return b, proc.Pin(mine[1])
}

func (b *bench) start(name string, more ...string) (*proc.Server, error) {
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	return proc.Start(proc.StartConfig{
		Command: append(b.built[name].Command(port, servers.Wanted{}), more...),
		Addr:    "127.0.0.1:" + strconv.Itoa(port),
		CPUs:    b.cpus,
	})
}

// load starts a server and drives it.
func (b *bench) load(ctx context.Context, name string, c load.Config) (load.Result, error) {
	s, err := b.start(name)
	if err != nil {
		return load.Result{}, err
	}
	defer s.Stop()
	return b.drive(ctx, s, b.built[name].Protocol, c)
}

func (b *bench) drive(ctx context.Context, s *proc.Server, protocol string, c load.Config) (load.Result, error) {
	c.Addr, c.ServerPID, c.Protocol = s.Addr, s.PID, protocol
	r, err := load.Run(ctx, c)
	if err == nil && (r.Failed > 0 || r.Wrong > 0) {
		err = fmt.Errorf("%d connections failed (%s), %d messages were wrong", r.Failed, r.FirstError, r.Wrong)
	}
	return r, err
}

// overFloor measures the CPU time of an echo as a ratio to the floor's.
func overFloor(server string, f figure, c load.Config) row {
	c.Kind, c.WarmUp, c.Duration = load.Echo, 300*time.Millisecond, time.Second
	return row{figures: []figure{f}, measure: func(ctx context.Context, b *bench) ([]float64, error) {
		if b.noRatio != "" {
			return nil, leftOut(b.noRatio)
		}
		floor, err := b.load(ctx, "floor", c)
		if err != nil {
			return nil, fmt.Errorf("floor: %w", err)
		}
		ours, err := b.load(ctx, server, c)
		if err != nil {
			return nil, err
		}
		return []float64{ours.ServerCPU / floor.ServerCPU}, nil
	}}
}

// idle measures how much a server grows by idle connections: 15,000, or as many as this process may
// open. With fewer, single pages matter more.
func idle(server string, f figure) row {
	return row{figures: []figure{f}, once: true, measure: func(ctx context.Context, b *bench) ([]float64, error) {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return nil, err
		}
		n := min(15_000, int(min(limit.Cur, 1<<20))-200)
		if n < 5_000 {
			return nil, leftOut(fmt.Sprintf("only %d files may be open, see ulimit -n", limit.Cur))
		}
		r, err := b.load(ctx, server, load.Config{Kind: load.Idle, Conns: n, Size: 32})
		return []float64{r.PerConn}, err
	}}
}

// counted is the number of messages over which bytes and system calls are counted. The server
// allocates 24 KiB to send its figures, and a buffer now and then after a collection. Over this
// many messages that is less than a byte for each.
const counted = 100_000

// counts measures the bytes that a message allocates, and its system calls.
func counts(c load.Config, allocated, calls figure) row {
	c.Kind, c.WarmUp, c.Duration, c.Messages = load.Echo, 300*time.Millisecond, time.Second, counted
	r := row{figures: []figure{allocated, calls}, once: true}
	r.measure = func(ctx context.Context, b *bench) ([]float64, error) {
		s, err := b.start("wsserver", "-metrics", figuresSocket())
		if err != nil {
			return nil, err
		}
		defer s.Stop()
		var before, after counters
		c := c
		c.Begin, c.End = before.read, after.read
		if _, err := b.drive(ctx, s, "ws", c); err != nil {
			return nil, err
		}
		messages := float64(after.Engine.Messages - before.Engine.Messages)
		return []float64{
			float64(after.Go.Allocated-before.Go.Allocated) / messages,
			float64(after.calls()-before.calls()) / messages,
		}, nil
	}
	return r
}

// counters are the figures of wsserver that are looked at here.
type counters struct {
	Engine metrics.Stats `json:"engine"`
	Go     struct {
		Allocated uint64 `json:"allocated_bytes"`
	} `json:"go"`
}

// figuresSocket returns the socket for the server's figures, in the abstract namespace (unix(7)).
func figuresSocket() string { return fmt.Sprintf("@guard-%d", os.Getpid()) }

func (c *counters) read() error {
	s, err := net.Dial("unix", figuresSocket())
	if err != nil {
		return err
	}
	defer s.Close()
	return json.NewDecoder(s).Decode(c)
}

// calls returns the number of system calls that the engine has counted.
func (c *counters) calls() uint64 {
	return c.Engine.Reads + c.Engine.Writes + c.Engine.Turns + 2*c.Engine.Yields // write and poll
}
