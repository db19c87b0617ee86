package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// Shutdown ends the engine in order. It stops accepting at once, then calls each connection's
// Shutdowner or closes the connection with ErrShutdown, and returns when all connections have
// ended. Everything written is flushed. Datagram sockets are told by their Shutdowner too, and then
// closed at once. When ctx ends first, the remaining connections are aborted as by Close; the error
// then says how many there were, and wraps the cause of ctx.
//
// If then a callback still blocks its loop, Shutdown does not wait for it: the error wraps a
// *BlockedError. Nor does it wait for a function of OnShutdown that ignores the end of its context.
// They go on, and Close waits for them. On a loop, Shutdown returns ErrOnLoop at once and does
// nothing: it would wait for itself.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e.OnLoop() {
		return ErrOnLoop
	}
	e.stop((*loop).stopOrderly)
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
	}
	e.stop((*loop).stopAtOnce)
	e.cancelStop()
	if err := e.awaitEnd(); err != nil {
		return fmt.Errorf("engine: shutdown: %w: %w", context.Cause(ctx), err)
	}
	if n := e.cut.Load(); n > 0 {
		return fmt.Errorf("engine: shutdown cut %d connections: %w", n, context.Cause(ctx))
	}
	return nil
}

// Close ends the engine at once: it closes the listeners and aborts the connections, with
// ErrShutdown as the reason. It returns when every loop has ended and every function of OnShutdown
// has returned, with the error that broke a driver, if any. On a loop it returns ErrOnLoop at once
// and does nothing: it would wait for itself.
func (e *Engine) Close() error {
	if e.OnLoop() {
		return ErrOnLoop
	}
	e.stop((*loop).stopAtOnce)
	e.cancelStop()
	<-e.done
	return e.err
}

// stop makes every loop call how.
func (e *Engine) stop(how func(*loop)) {
	e.mu.Lock()
	if !e.stopping {
		e.beginStop()
	}
	if !e.running { // then the loops run now, to do and tell what was asked of them
		e.running = true
		for _, l := range e.loops {
			l.stopping = true
			go l.run()
		}
	}
	e.mu.Unlock()
	for _, l := range e.loops {
		l.do(func() { how(l) }) // an error means that the loop has ended
	}
}

// OnShutdown calls f, on a goroutine of its own, when the engine begins to end: by Shutdown, by
// Close, or because its drivers are broken. Use it for what belongs to the engine but is not a
// connection or datagram socket of its loops: Run, Shutdown and Close wait until f has returned.
// The loops do not wait for f. They close connections and datagram sockets meanwhile, and what f
// posts to them may never run: for a farewell use Shutdowner. ctx ends with the context of
// Shutdown; with Close it ends at once. The error is ErrClosed if the engine is ending already;
// then f is not called.
func (e *Engine) OnShutdown(f func(ctx context.Context)) error {
	if err := checkFunc("OnShutdown", "f", f == nil); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return ErrClosed
	}
	e.waiting++
	e.onShutdown = append(e.onShutdown, f)
	return nil
}

// beginStop marks the engine as ending and starts the functions of OnShutdown. It is called once,
// with e.mu locked.
func (e *Engine) beginStop() {
	e.stopping = true
	for _, f := range e.onShutdown {
		go func() {
			defer e.oneEnded()
			defer func() {
				if v := recover(); v != nil {
					e.config.Logger.Error("engine: panic in a function of OnShutdown",
						"panic", v, "stack", string(debug.Stack()))
				}
			}()
			f(e.stopContext)
		}()
	}
	e.onShutdown = nil
}

// loopDone is called at the end of loop l.
func (e *Engine) loopDone(l *loop) {
	e.mu.Lock()
	if l.driverErr != nil {
		e.config.Logger.Error("engine: a loop has ended, and the engine with it", "loop", l.index, "error", l.driverErr)
		e.err = errors.Join(e.err, fmt.Errorf("engine: loop %d: %w", l.index, l.driverErr))
		e.reportBroken()
	}
	e.loopsLeft--
	if e.loopsLeft == 0 && !e.stopping {
		e.cancelStop()
		e.beginStop()
	}
	if e.loopsLeft == 0 && e.watchdog.timer != nil {
		e.watchdog.timer.Stop() // or it would keep the engine in memory until it looks
	}
	e.mu.Unlock()
	e.oneEnded()
}

// reportBroken tells Run that the driver of a loop has failed. It is called with e.mu locked.
func (e *Engine) reportBroken() {
	select {
	case <-e.broken:
	default:
		close(e.broken)
	}
}

// oneEnded counts that a loop has ended, or that a function of OnShutdown has returned.
func (e *Engine) oneEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting--
	if e.waiting == 0 {
		close(e.done)
	}
}
