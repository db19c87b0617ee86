package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// Run does to a server what c says, and returns what came of it. It measures this process too, in which nothing else should be
// going on. The error says that there is no result: no connection could be opened, nothing happened for Config.Timeout, the
// server has ended, or ctx. That some connections failed, or messages were wrong, the result tells.
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
		return Result{}, fmt.Errorf("load: kind %q: it is one of %s, %s, %s, %s, %s", s.cfg.Kind, Echo, Broadcast, Idle, Storm, Churn)
	}
	if err := s.Open(ctx, s.cfg.Conns); err != nil {
		return Result{}, err
	}
	if s.Opened() == 0 {
		return Result{}, fmt.Errorf("load: no connection could be opened: %w", s.FirstError())
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

// broadcasts has one connection send to all.
func (s *Session) broadcasts(ctx context.Context) (Result, error) {
	j, err := s.broadcast(ctx, false)
	if err != nil {
		return Result{}, err
	}
	before, after, err := s.measure(ctx, func(*worker) { j.stopped.Store(true) })
	if err != nil {
		return Result{}, fmt.Errorf("%w; %d of %d connections have not got the last broadcast", err, j.left.Load(), s.Opened()-1)
	}
	return s.result(ctx, before, after)
}

// settling is how long a server is left alone before it is looked at.
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

// storm opens the connections, which is what is measured, and holds them.
func (s *Session) storm(ctx context.Context) (Result, error) {
	before, err := s.read(ctx, (*worker).reset)
	if err != nil {
		return Result{}, err
	}
	if err := s.Open(ctx, s.cfg.Conns); err != nil {
		return Result{}, err
	}
	if s.Opened() == 0 {
		return Result{}, fmt.Errorf("load: no connection could be opened: %w", s.FirstError())
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
		err = fmt.Errorf("load: no connection could be opened: %w", s.FirstError())
	}
	return r, err
}

// measure lets a job run: the warm-up, and then the part that counts, until stop ends it on each loop.
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

// pass lets time pass in which messages come.
func (s *Session) pass(ctx context.Context, d time.Duration) error {
	if err := s.elapse(ctx, d, s.messages); err != nil {
		return fmt.Errorf("load: %w%s", err, s.state())
	}
	return nil
}

// passUntil lets time pass until n messages have come in all.
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

// rest lets time pass in which nothing has to happen.
func (s *Session) rest(ctx context.Context, d time.Duration) error {
	n := uint64(0)
	return s.elapse(ctx, d, func() (uint64, error) { n++; return n, nil })
}

func (s *Session) elapse(ctx context.Context, d time.Duration, progress func() (uint64, error)) error {
	timeUp, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := s.watch(ctx, timeUp.Done(), s.cfg.Timeout, progress)
	if ctx.Err() != nil && !errors.Is(err, errStalled) {
		return context.Cause(ctx)
	}
	return err
}
