package engine

import (
	"bytes"
	"fmt"
	"time"
)

// BlockedError reports a loop that a callback blocks, so that the engine cannot end.
type BlockedError struct {
	Loop  int    // its number
	Stack []byte // of the loop's goroutine; nil: unknown
}

// Error names the loop, and the function that it is in, as far as that is known.
func (e *BlockedError) Error() string {
	if where := blockedIn(e.Stack); where != "" {
		return fmt.Sprintf("loop %d does not turn: a callback blocks it in %s", e.Loop, where)
	}
	return fmt.Sprintf("loop %d does not turn: a callback blocks it", e.Loop)
}

// blockedIn returns the function and the place, by a stack, where user code was called: the frame
// above the first one of this package's loop.
func blockedIn(stack []byte) string {
	lines := bytes.Split(stack, []byte("\n"))
	for i := 3; i+1 < len(lines); i += 2 { // lines[0] is the head; then a function and a place each
		if !bytes.Contains(lines[i], []byte("/engine.(*loop).")) {
			continue
		}
		f, place := lines[i-2], bytes.TrimSpace(lines[i-1])
		if end := bytes.LastIndexByte(f, '('); end > 0 {
			f = f[:end]
		}
		place, _, _ = bytes.Cut(place, []byte(" "))
		return fmt.Sprintf("%s (%s)", f, place)
	}
	return ""
}

// stuckAfter is how long a loop that ends at once may go without a turn and without closing a
// connection. A function of OnShutdown has as long to return after the end of its context.
const stuckAfter = time.Second

// awaitEnd waits until over is closed, for an engine that ends at once. The error is what keeps it
// from that.
func (e *Engine) awaitEnd(over <-chan struct{}) error {
	const looks = 20
	loads, silent := make([]int32, len(e.loops)), make([]int, len(e.loops))
	for still := 0; still < looks; still++ {
		for i, l := range e.loops {
			silent[i]++
			if !l.watched.asked.Swap(true) || !l.callback.inTurn.Load() { // it turns, or waits
				silent[i] = 0
			}
			if n := l.load.Load(); n != loads[i] { // it closes its connections
				loads[i], still = n, 0
			}
		}
		select {
		case <-over:
			return nil
		case <-time.After(stuckAfter / looks):
		}
	}
	for i, l := range e.loops {
		if silent[i] >= looks-1 {
			return &BlockedError{l.index, stackOf(l.watched.goroutine.Load())}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Errorf("%d functions of OnShutdown have not returned, %d loops have not ended",
		e.waiting-e.loopsLeft, e.loopsLeft)
}

// OnLoop reports whether the calling goroutine is one of the engine's loops. It is for functions
// that wait for something that a loop does, to refuse a call that would never return. It may be
// called from any goroutine, and takes about a microsecond while a loop is in a turn.
func (e *Engine) OnLoop() bool {
	_, on := e.CurrentLoop()
	return on
}

// CurrentLoop returns the number of the loop that the calling goroutine is: see OnLoop. on is false
// if it is none.
func (e *Engine) CurrentLoop() (loop int, on bool) {
	turning := false
	for _, l := range e.loops {
		turning = turning || l.callback.inTurn.Load()
	}
	if !turning {
		return 0, false
	}
	n := goroutineNumber()
	for i, l := range e.loops {
		if l.watched.goroutine.Load() == n {
			return i, true
		}
	}
	return 0, false
}
