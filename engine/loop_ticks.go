package engine

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Ticker calls a function on a loop at a fixed rate: see Engine.NewTicker.
type Ticker struct {
	loop    *loop
	period  time.Duration
	f       func(Tick)
	due     time.Duration // when the next tick is; only the loop uses it
	stopped atomic.Bool
}

// Tick is one call of a Ticker's function.
type Tick struct {
	// Due is when the call was due, by the clock of Conn.Now. Two calls are due a multiple of the
	// period apart.
	Due time.Duration
	// Now is when the function is called. It is never before Due.
	Now time.Duration
	// Skipped is how many further ticks were due by Now. They are skipped: this call stands for
	// them as well.
	Skipped int
}

// Late returns how late the call is.
func (t Tick) Late() time.Duration { return t.Now - t.Due }

// NewTicker calls f on loop number loop (see Conn.Loop) once per period, until Stop is called or
// the loop has ended. The first call comes one period after the loop has begun with it, which is
// when Run is called at the earliest. It may be called from any goroutine.
//
// The schedule does not drift. f is never called early, and late only by what the loop does at the
// time: it looks at the clock after every few deliveries, and does not interrupt a callback. Nor
// can it run while other goroutines have all processors: see Config.CPUs. If f or the loop has
// taken longer than a period, the ticks that were missed are skipped: see Tick. What f writes goes
// out soon after it has returned. A panic in f is logged, and the Ticker goes on.
//
// AfterFunc is for everything that may be 20 ms late, and costs less. A Ticker wakes its loop for
// every tick; a loop without one pays nothing.
//
// The error is ErrClosed if the engine has ended, or says that there is no such loop, or that
// period is not positive.
func (e *Engine) NewTicker(loop int, period time.Duration, f func(Tick)) (*Ticker, error) {
	if err := checkFunc("ticker", "f", f == nil); err != nil {
		return nil, err
	}
	if period <= 0 {
		return nil, fmt.Errorf("engine: ticker with a period of %v", period)
	}
	l, err := e.loop(loop)
	if err != nil {
		return nil, err
	}
	t := &Ticker{loop: l, period: period, f: f}
	if err := l.do(func() { l.startTicker(t) }); err != nil {
		return nil, err
	}
	return t, nil
}

// Stop ends the calls. On the Ticker's loop, there are none once Stop has returned; on another
// goroutine, one may be in progress. It may be called from any goroutine, also more than once.
func (t *Ticker) Stop() {
	if !t.stopped.Swap(true) {
		t.loop.do(func() { t.loop.removeTicker(t) }) // an error means that the loop has ended
	}
}

// ticking is a loop's tickers. They are few, and change seldom: only posted functions change the
// list, so it stays as it is while a tick is called.
type ticking struct {
	all  []*Ticker
	next time.Duration // when the first of them is due; never: there are none
	// settling is set while what a tick has touched is settled in the middle of a turn.
	settling bool
}

// never is the time of no tick.
const never = time.Duration(math.MaxInt64)

func (l *loop) startTicker(t *Ticker) {
	if t.stopped.Load() || l.leaving {
		return
	}
	now := l.poller.Now()
	t.due = now + min(t.period, never-now)
	l.ticking.all = append(l.ticking.all, t)
	l.ticking.next = min(l.ticking.next, t.due)
}

func (l *loop) removeTicker(t *Ticker) {
	l.ticking.all = slices.DeleteFunc(l.ticking.all, func(o *Ticker) bool { return o == t })
	l.scheduleTicks()
}

// scheduleTicks finds the tick that is due first.
func (l *loop) scheduleTicks() {
	l.ticking.next = never
	for _, t := range l.ticking.all {
		l.ticking.next = min(l.ticking.next, t.due)
	}
}

// callTicks calls the ticks that are due, each ticker's once. A panic leaves the tickers behind the
// one that it was in for the next time: each has its time, and next is not later than any of them.
func (l *loop) callTicks() {
	now := l.poller.Now()
	if now < l.ticking.next {
		return
	}
	for _, t := range l.ticking.all {
		if now < t.due || t.stopped.Load() {
			continue
		}
		skipped := (now - t.due) / t.period
		tick := Tick{Due: t.due, Now: now, Skipped: int(min(skipped, math.MaxInt32))}
		t.due += (skipped + 1) * t.period
		l.enter(nil)
		t.f(tick)
		l.exitAndSettle(nil)
		now = l.poller.Now()
	}
	l.scheduleTicks()
}

// runTicks is the step of a turn: a loop without tickers does not read the clock.
func (l *loop) runTicks() {
	if l.ticking.next != never {
		l.callTicks()
	}
}

// tickBetween calls what is due between two deliveries of a turn, or two tasks, so that a long turn
// does not make ticks late. It is called when the clock has just been read, by spend. What the
// ticks have touched is settled here, unless that is being done anyway: at the end of a long turn
// it would be as late.
func (l *loop) tickBetween() {
	if l.yielding.look < l.ticking.next {
		return
	}
	l.callTicks()
	if (l.step == settleStep || l.step == timerStep) && !l.ticking.settling {
		l.ticking.settling = true
		l.settleDirty()
		l.ticking.settling = false
	}
}
