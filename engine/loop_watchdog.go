package engine

import (
	"bytes"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// watchdog finds loops that a callback blocks, for Config.BlockedAfter.
//
// It asks each loop for a sign of life, eight times within that time; a loop that has not answered to eight of these is
// blocked. To ask is to set the loop's flag asked, to answer is to clear it, which a loop does when it begins a turn and
// when it wakes. So nothing is counted and no time is read: a loop pays for one look at a flag per turn that only changes
// when it is asked.
//
// A loop that sleeps is not asked. When all loops sleep, the watchdog does, too (resting): its timer does not run, and
// every flag is set. Whoever wakes first answers, and starts the timer.
type watchdog struct {
	engine  *Engine
	period  time.Duration // between two questions
	timer   *time.Timer
	resting atomic.Bool

	// The following belong to the timer's function.
	unanswered []int     // by loop, for how many periods; -1: it was logged
	begin      time.Time // of the watch
	limit      logLimit
	unlogged   int // loops that were found blocked since the last message
}

const (
	// watchPeriods is how many times a blocked loop is asked before it is logged.
	watchPeriods = 8
	// blockedLog is how often blocked loops are logged.
	blockedLog = time.Minute
	// maxStacks bounds the memory for the stacks of all goroutines, in which that of a blocked loop is looked for.
	maxStacks = 16 << 20
)

// watched is a loop's part of the watchdog.
type watched struct {
	asked     atomic.Bool
	goroutine atomic.Uint64 // the number of the loop's goroutine
}

// startWatchdog is called by Run, before the loops run.
func (e *Engine) startWatchdog() {
	if e.config.BlockedAfter < 0 {
		return
	}
	w := &e.watchdog
	w.engine, w.begin = e, time.Now()
	w.period = max(e.config.BlockedAfter/watchPeriods, time.Millisecond)
	w.unanswered = make([]int, len(e.loops))
	w.timer = time.AfterFunc(math.MaxInt64, w.look)
	w.rest()
}

// answer is called when the watchdog has asked, see watchdog.
func (l *loop) answer() {
	l.watched.asked.Store(false)
	if w := &l.engine.watchdog; w.resting.CompareAndSwap(true, false) {
		w.timer.Reset(w.period)
	}
}

// look asks all loops.
func (w *watchdog) look() {
	awake := false
	for i, l := range w.engine.loops {
		switch {
		case !l.callback.inTurn.Load():
			w.unanswered[i] = 0
			continue
		case !l.watched.asked.Load():
			l.watched.asked.Store(true)
			w.unanswered[i] = 0
		case w.unanswered[i] >= 0:
			w.unanswered[i]++
		}
		if w.unanswered[i] == watchPeriods {
			w.unanswered[i] = -1
			w.log(l)
		}
		awake = true
	}
	if !awake && w.rest() {
		return
	}
	w.timer.Reset(w.period)
}

// rest leaves it to the loops to start the timer. It reports false if one has woken meanwhile.
func (w *watchdog) rest() bool {
	w.resting.Store(true)
	awake := false
	for _, l := range w.engine.loops {
		l.watched.asked.Store(true) // before the loop's state is read: either it sees the question, or we see it awake
		awake = awake || l.callback.inTurn.Load()
	}
	return !awake || !w.resting.CompareAndSwap(true, false)
}

// log logs a blocked loop, unless it has logged one lately.
func (w *watchdog) log(l *loop) {
	if !w.limit.allow(time.Since(w.begin), blockedLog) {
		w.unlogged++
		return
	}
	l.config.Logger.Error("engine: a callback blocks its loop", "loop", l.index, "for", w.period*watchPeriods,
		"unlogged", w.unlogged, "stack", string(stackOf(l.watched.goroutine.Load())))
	w.unlogged = 0
}

// goroutineNumber returns the number of the calling goroutine, by which stackOf finds it.
func goroutineNumber() uint64 {
	var b [64]byte
	_, rest, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	n, _ := strconv.ParseUint(string(number), 10, 64)
	return n
}

// stackOf returns the stack of a goroutine, nil if it is not found. It stops the world for that.
func stackOf(goroutine uint64) []byte {
	head := []byte("\n\ngoroutine " + strconv.FormatUint(goroutine, 10) + " ")
	for size := 256 << 10; size <= maxStacks; size *= 4 {
		b := make([]byte, size)
		n := runtime.Stack(b, true)
		_, stack, found := bytes.Cut(b[:n], head)
		stack, _, whole := bytes.Cut(stack, []byte("\n\n"))
		if found && (whole || n < size) {
			return append(head[2:], stack...)
		}
		if n < size {
			break
		}
	}
	return nil
}
