package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// Shutdown ends the engine in order. It stops accepting at once, tells each connection's Shutdowner or else closes the
// connection with ErrShutdown, flushed, and returns when all have ended. When ctx ends before that, the rest is cut as
// by Close, and the error says how many connections that were and wraps ctx's.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.stop((*loop).stopOrderly)
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.Close()
		if n := e.cut.Load(); n > 0 {
			return fmt.Errorf("engine: shutdown cut %d connections: %w", n, context.Cause(ctx))
		}
		return nil
	}
}

// Close ends the engine at once: listeners are closed and connections aborted, with ErrShutdown as the reason. It returns
// when every loop has ended; called on a loop it would wait for itself.
func (e *Engine) Close() error {
	e.stop((*loop).stopAtOnce)
	e.hurry()
	<-e.done
	return e.err
}

// stop has every loop begin to end. An engine that never ran ends here.
func (e *Engine) stop(how func(*loop)) {
	e.mu.Lock()
	ran := e.running
	first := !e.stopping
	if first {
		e.beginEnd()
	}
	e.mu.Unlock()
	for _, l := range e.loops {
		switch {
		case ran:
			l.do(func() { how(l) }) // the error is that it has ended
		case first:
			l.callback.inTurn.Store(true) // this goroutine is the loop's, for as long as it takes
			for l.stopping = true; !l.tasks.queue.Empty(); {
				l.runTasks()
			}
			l.shut()
		}
	}
}

// OnShutdown has f called, on a goroutine of its own, when the engine begins to end: by Shutdown, by Close, or because its
// drivers are broken. It is for what belongs to the engine without being a connection of its loops: Run, Shutdown and Close
// return when f has returned, too. ctx ends when there is no more time, which is with Shutdown's context, and at once if it is
// Close. OnShutdown may be called from any goroutine; the error is ErrClosed if the engine is ending already, and then f is
// not called.
func (e *Engine) OnShutdown(f func(ctx context.Context)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return ErrClosed
	}
	e.left++
	e.onShutdown = append(e.onShutdown, f)
	return nil
}

// beginEnd is called once, with e.mu locked: who asked to be told by OnShutdown is told.
func (e *Engine) beginEnd() {
	e.stopping = true
	for _, f := range e.onShutdown {
		go func() {
			defer e.oneEnded()
			defer func() {
				if v := recover(); v != nil {
					e.config.Logger.Error("engine: panic in a function of OnShutdown", "panic", v, "stack", string(debug.Stack()))
				}
			}()
			f(e.ending)
		}()
	}
	e.onShutdown = nil
}

// loopDone is the last word of loop l.
func (e *Engine) loopDone(l *loop) {
	e.mu.Lock()
	if l.driverErr != nil {
		e.err = errors.Join(e.err, fmt.Errorf("engine: loop %d: %w", l.index, l.driverErr))
	}
	if e.turning--; e.turning == 0 && !e.stopping {
		e.hurry()
		e.beginEnd()
	}
	e.mu.Unlock()
	e.oneEnded()
}

// oneEnded says that a loop has ended, or a function of OnShutdown.
func (e *Engine) oneEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left--; e.left == 0 {
		close(e.done)
	}
}
