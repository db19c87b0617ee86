package engine

import (
	"bytes"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// watchdog finds loops that are blocked by a callback: see Config.BlockedAfter.
//
// It asks every loop for a sign of life, eight times within BlockedAfter. Asking means setting the
// loop's flag asked. The loop clears it when it begins a turn, and when it wakes. A loop that has
// left the flag set for eight periods is blocked. So a loop counts nothing and reads no clock: per
// turn it loads a flag that hardly ever changes.
//
// Loops that wait for events are not asked. When all loops wait, the watchdog rests: its timer does
// not run, and every flag is set, so that the first loop to wake starts the timer.
type watchdog struct {
	engine  *Engine
	period  time.Duration // between two questions
	timer   *time.Timer
	resting atomic.Bool

	// Only look, the timer's function, uses the following.
	unanswered []int     // by loop, for how many periods; -1: it was logged
	begin      time.Time // when the watch began
	limit      logLimit
}

const (
	// watchPeriods is how many periods a loop is blocked before it is logged.
	watchPeriods = 8
	// blockedLog is the time between two messages.
	blockedLog = time.Minute
	// maxStacks limits the memory for the stacks of all goroutines, among which stackOf looks.
	maxStacks = 16 << 20
)

// watched is a loop's part of the watchdog.
type watched struct {
	asked     atomic.Bool
	goroutine atomic.Uint64 // number of the loop's goroutine
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
	w.timer.Stop() // until a loop wakes
	w.rest()
}

// answer gives the sign of life that the watchdog has asked for.
func (l *loop) answer() {
	l.watched.asked.Store(false)
	if w := &l.engine.watchdog; w.resting.CompareAndSwap(true, false) {
		w.timer.Reset(w.period)
	}
}

// look asks all loops, and logs those that are blocked.
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

// rest stops the watch until a loop wakes. It returns false if one has woken meanwhile.
func (w *watchdog) rest() bool {
	w.resting.Store(true)
	awake := false
	for _, l := range w.engine.loops {
		// Asked before inTurn is read: either the loop sees it, or we see that the loop is awake.
		l.watched.asked.Store(true)
		awake = awake || l.callback.inTurn.Load()
	}
	return !awake || !w.resting.CompareAndSwap(true, false)
}

// log logs a blocked loop, unless a message was logged lately.
func (w *watchdog) log(l *loop) {
	unlogged, ok := w.limit.allow(time.Since(w.begin), blockedLog)
	if !ok {
		return
	}
	l.config.Logger.Error("engine: a callback blocks its loop", "loop", l.index, "for", w.period*watchPeriods,
		"unlogged", unlogged, "stack", string(stackOf(l.watched.goroutine.Load())))
}

// goroutineNumber returns the number of the calling goroutine.
func goroutineNumber() uint64 {
	var b [64]byte
	_, rest, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	n, _ := strconv.ParseUint(string(number), 10, 64)
	return n
}

// stackOf returns the stack of a goroutine, nil if it is not found. It stops the world.
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
