package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// reading is the state of all clocks and counters at one moment.
type reading struct {
	at           time.Time
	server, own  time.Duration // CPU time
	user, system time.Duration // the server's, in coarse steps
	counts       counts
	open         int // connections, without the one that broadcasts
}

// clocks reads the CPU times.
func (r *reading) clocks(pid int) (err error) {
	r.at = time.Now()
	if r.own, err = proc.CPUTime(os.Getpid()); err != nil || pid == 0 {
		return err
	}
	if r.server, err = proc.CPUTime(pid); err != nil {
		return fmt.Errorf("load: the server: %w", err)
	}
	r.user, r.system, err = proc.Split(pid)
	return err
}

// read takes a reading on the loops, so that their counts belong to the same moment as the time. It
// also calls then, if that is not nil, for each worker at this moment.
func (s *Session) read(ctx context.Context, then func(*worker)) (r reading, err error) {
	var mu sync.Mutex
	failed := s.each(ctx, func(w *worker) {
		mu.Lock()
		defer mu.Unlock()
		r.counts = r.counts.plus(w.counts)
		if then != nil {
			then(w)
		}
		r.open += w.joined()
		if w.loop == 0 {
			err = r.clocks(s.cfg.ServerPID)
		}
	})
	if failed != nil {
		return r, failed
	}
	return r, err
}

var errAllEnded = errors.New("all connections have ended")

// messages returns how many messages have arrived so far. It fails if no more can arrive.
func (s *Session) messages() (n uint64, err error) {
	if s.cfg.Kind != Churn && s.Opened() == 0 {
		return 0, errAllEnded
	}
	var mu sync.Mutex
	err = s.each(context.Background(), func(w *worker) {
		mu.Lock()
		defer mu.Unlock()
		n += w.messages
	})
	return n, err
}

// state describes the connections, for an error.
func (s *Session) state() string {
	text := fmt.Sprintf("; %d connections are open, %d have failed", s.Opened(), s.Failed())
	if err := s.FirstError(); err != nil {
		text += fmt.Sprintf(", the first with: %v", err)
	}
	return text
}

// since returns the result of what happened since a reading.
func (s *Session) since(ctx context.Context, before reading) (Result, error) {
	after, err := s.read(ctx, nil)
	if err != nil {
		return Result{}, err
	}
	return s.result(ctx, before, after)
}

// result summarizes what happened between two readings, and the histograms as they are now.
func (s *Session) result(ctx context.Context, before, after reading) (Result, error) {
	n := after.counts.minus(before.counts)
	r := Result{Config: s.cfg, Opened: before.open, Failed: s.Failed(), Slow: int(after.counts.slow),
		Messages: n.messages, Wrong: after.counts.wrong, Missed: n.missed}
	r.Seconds = after.at.Sub(before.at).Seconds()
	if err := s.FirstError(); err != nil {
		r.FirstError = err.Error()
	}
	per := n.messages
	if s.cfg.Kind == Storm || s.cfg.Kind == Churn {
		per, r.Opened = n.opens, int(n.opens)
	}
	r.PerSecond = float64(per) / r.Seconds
	r.cpu(before, after, float64(max(per, 1)))
	latency, handshake := newHistogram(), newHistogram()
	if err := s.merge(ctx, latency, handshake); err != nil {
		return r, err
	}
	var err error
	if r.Latency, err = latencyOf(latency); err != nil {
		return r, err
	}
	if r.Handshake, err = latencyOf(handshake); err != nil {
		return r, err
	}
	r.Bottleneck = s.bottleneck(&r, n)
	return r, nil
}

// cpu sets the fields about CPU time.
func (r *Result) cpu(before, after reading, per float64) {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	server, own := after.server-before.server, after.own-before.own
	r.ServerCPU, r.ServerBusy = us(server)/per, server.Seconds()/r.Seconds
	r.LoadCPU, r.LoadBusy = us(own)/per, own.Seconds()/r.Seconds
	if user, system := after.user-before.user, after.system-before.system; user+system > 0 {
		r.ServerUser = r.ServerCPU * float64(user) / float64(user+system)
	}
}

// merge adds the workers' histograms to the given ones.
func (s *Session) merge(ctx context.Context, latency, handshake *hdrhistogram.Histogram) error {
	var mu sync.Mutex
	return s.each(ctx, func(w *worker) {
		mu.Lock()
		defer mu.Unlock()
		latency.Merge(w.latency)
		handshake.Merge(w.handshake)
	})
}

const (
	fullyBusy = 0.95 // of a core: a process does not get more than that for itself
	tooLate   = 0.01 // of an open loop's messages
)

// bottleneck reports whether the generator had no time left while the server had.
func (s *Session) bottleneck(r *Result, n counts) bool {
	if s.cfg.ServerPID != 0 && r.ServerBusy >= fullyBusy*float64(cores(s.cfg.ServerPID)) {
		return false
	}
	if s.cfg.Kind == Echo && s.cfg.Rate > 0 { // an open loop is always busy, so see how late it was
		return float64(n.late) > tooLate*float64(n.messages)
	}
	return r.LoadBusy >= fullyBusy*float64(min(s.cfg.Loops, runtime.GOMAXPROCS(0), cores(os.Getpid())))
}

// cores returns how many processors a process may run on, or 1 if that is not known.
func cores(pid int) int {
	n, err := proc.CPUs(pid)
	if err != nil {
		return 1
	}
	return n
}
