package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// Run drives a server as c says and returns what it measured. It measures this process too, so
// nothing else should run in it. Run fails if no connection could be opened, if nothing happened
// for Config.Timeout, or if the server or ctx ended. Failed connections and wrong messages are not
// an error of Run: they are in the result.
func Run(ctx context.Context, c Config) (Result, error) {
	s, err := NewSession(c)
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	var before int64
	if c.ServerPID != 0 {
		if before, err = proc.RSS(c.ServerPID); err != nil {
			return Result{}, err
		}
	}
	r, err := s.run(ctx)
	if err != nil {
		return r, err
	}
	r.Config = c
	if c.ServerPID == 0 {
		return r, nil
	}
	r.RSSBefore = before
	if r.RSS, err = proc.RSS(c.ServerPID); err != nil {
		return r, err
	}
	if c.Kind != Churn && r.Opened > 0 {
		r.PerConn = float64(r.RSS-r.RSSBefore) / float64(r.Opened)
	}
	return r, nil
}

func (s *Session) run(ctx context.Context) (Result, error) {
	switch s.cfg.Kind {
	case Storm:
		return s.storm(ctx)
	case Churn:
		return s.churn(ctx)
	case Echo, Broadcast, Idle:
	default:
		return Result{}, fmt.Errorf("load: unknown kind %q: want %s, %s, %s, %s or %s",
			s.cfg.Kind, Echo, Broadcast, Idle, Storm, Churn)
	}
	if err := s.openAll(ctx); err != nil {
		return Result{}, err
	}
	switch {
	case s.cfg.Kind == Idle:
		return s.idle(ctx)
	case s.cfg.Kind == Broadcast:
		return s.broadcasts(ctx)
	case s.cfg.Rate > 0:
		return s.openEcho(ctx)
	}
	return s.closedEcho(ctx)
}

// openAll opens all connections. It is an error if none could be opened.
func (s *Session) openAll(ctx context.Context) error {
	if err := s.Open(ctx, s.cfg.Conns); err != nil {
		return err
	}
	if s.Opened() == 0 {
		return s.nothingOpened()
	}
	return nil
}

func (s *Session) nothingOpened() error {
	return fmt.Errorf("load: no connection could be opened: %w", s.FirstError())
}

// closedEcho runs the closed loop.
func (s *Session) closedEcho(ctx context.Context) (Result, error) {
	jobs := make([]*closedLoop, len(s.workers))
	err := s.each(ctx, func(w *worker) {
		jobs[w.loop] = w.newClosedLoop(s.cfg.InFlight)
		w.begin(jobs[w.loop])
		jobs[w.loop].start()
	})
	if err != nil {
		return Result{}, err
	}
	before, after, err := s.measure(ctx, func(w *worker) { jobs[w.loop].stopped = true })
	if err != nil {
		return Result{}, err
	}
	return s.result(ctx, before, after)
}

// broadcasts lets one connection send to all.
func (s *Session) broadcasts(ctx context.Context) (Result, error) {
	j, err := s.broadcast(ctx, false)
	if err != nil {
		return Result{}, err
	}
	before, after, err := s.measure(ctx, func(*worker) { j.stopped.Store(true) })
	if err != nil {
		return Result{}, fmt.Errorf("%w; %d of %d connections have not received the last broadcast",
			err, j.left.Load(), s.Opened()-1)
	}
	return s.result(ctx, before, after)
}

// settling is how long a server is left alone before it is measured.
const settling = 500 * time.Millisecond

// idle holds the connections.
func (s *Session) idle(ctx context.Context) (Result, error) {
	if err := s.rest(ctx, settling+s.cfg.WarmUp); err != nil {
		return Result{}, err
	}
	before, err := s.read(ctx, (*worker).reset)
	if err == nil {
		err = s.rest(ctx, s.cfg.Duration)
	}
	if err != nil {
		return Result{}, err
	}
	return s.since(ctx, before)
}

// storm measures how the connections open, and holds them.
func (s *Session) storm(ctx context.Context) (Result, error) {
	before, err := s.read(ctx, (*worker).reset)
	if err != nil {
		return Result{}, err
	}
	if err := s.openAll(ctx); err != nil {
		return Result{}, err
	}
	after, err := s.read(ctx, nil)
	if err == nil {
		err = s.rest(ctx, settling+s.cfg.Duration)
	}
	if err != nil {
		return Result{}, err
	}
	return s.result(ctx, before, after)
}

// churn opens and closes connections.
func (s *Session) churn(ctx context.Context) (Result, error) {
	j := s.newChurning()
	if err := s.each(ctx, func(w *worker) { w.begin(j) }); err != nil {
		return Result{}, err
	}
	j.opener.begin(s.cfg.InFlight)
	before, after, err := s.measure(ctx, func(*worker) { j.stop() })
	if err != nil {
		return Result{}, err
	}
	r, err := s.result(ctx, before, after)
	if err == nil && r.Opened == 0 {
		err = s.nothingOpened()
	}
	return r, err
}

// measure lets a job run, first for the warm-up, then for the part that counts. In the end it calls
// stop on each loop, which must end the job.
func (s *Session) measure(ctx context.Context, stop func(*worker)) (before, after reading, err error) {
	if err := s.pass(ctx, s.cfg.WarmUp); err != nil {
		return before, after, err
	}
	if err := s.cfg.Begin(); err != nil {
		return before, after, err
	}
	if before, err = s.read(ctx, (*worker).reset); err != nil {
		return before, after, err
	}
	if err := s.pass(ctx, s.cfg.Duration); err != nil {
		return before, after, err
	}
	if err := s.passUntil(ctx, before.counts.messages+s.cfg.Messages); err != nil {
		return before, after, err
	}
	if err := s.cfg.End(); err != nil {
		return before, after, err
	}
	after, err = s.read(ctx, stop)
	return before, after, err
}

// pass waits for d. Messages must arrive meanwhile.
func (s *Session) pass(ctx context.Context, d time.Duration) error {
	if err := s.elapse(ctx, d, s.messages); err != nil {
		return fmt.Errorf("load: %w%s", err, s.state())
	}
	return nil
}

// passUntil waits until n messages have arrived in all.
func (s *Session) passUntil(ctx context.Context, n uint64) error {
	if got, err := s.messages(); err != nil || got >= n {
		return err
	}
	enough, stop := context.WithCancel(context.Background())
	defer stop()
	err := s.watch(ctx, enough.Done(), s.cfg.Timeout, func() (uint64, error) {
		got, err := s.messages()
		if got >= n {
			stop()
		}
		return got, err
	})
	if err != nil {
		return fmt.Errorf("load: %w%s", err, s.state())
	}
	return nil
}

// rest waits for d. Nothing has to happen meanwhile.
func (s *Session) rest(ctx context.Context, d time.Duration) error {
	n := uint64(0)
	return s.elapse(ctx, d, func() (uint64, error) { n++; return n, nil })
}

// elapse waits for d, as long as progress changes: see watch.
func (s *Session) elapse(ctx context.Context, d time.Duration, progress func() (uint64, error)) error {
	timeUp, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := s.watch(ctx, timeUp.Done(), s.cfg.Timeout, progress)
	if ctx.Err() != nil && !errors.Is(err, errStalled) {
		return context.Cause(ctx)
	}
	return err
}
