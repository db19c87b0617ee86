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
// If then a callback still blocks its loop, Shutdown waits for it for about a second and no longer:
// the error wraps a *BlockedError. It is the same with a function of OnShutdown that ignores the
// end of its context. They go on, and the engine ends when they have returned. On a loop, Shutdown
// returns ErrOnLoop at once and does nothing: it would wait for itself. In a function of OnShutdown
// it waits for the loops only.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e.OnLoop() {
		return ErrOnLoop
	}
	e.stop((*loop).stopOrderly)
	over := e.over()
	select {
	case <-over:
		return e.cutError()
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	e.cutAll(cause)
	if err := e.awaitEnd(over); err != nil {
		return fmt.Errorf("engine: shutdown: %w: %w", cause, err)
	}
	return e.cutError()
}

// Close ends the engine at once: it closes the listeners and aborts the connections, with
// ErrShutdown as the reason. It returns when every loop has ended and every function of OnShutdown
// has returned, with the error that broke a driver, if any.
//
// Close does not wait for ever: what a callback or a function of OnShutdown blocks is waited for as
// by Shutdown, and then the error says what it is. To wait longer, call Close again. On a loop it
// returns ErrOnLoop at once and does nothing: it would wait for itself. In a function of OnShutdown
// it waits for the loops only.
func (e *Engine) Close() error {
	if e.OnLoop() {
		return ErrOnLoop
	}
	e.cutAll(ErrClosed)
	if err := e.awaitEnd(e.over()); err != nil {
		return fmt.Errorf("engine: close: %w", err)
	}
	return e.err
}

// cutAll makes every loop abort its connections. cause is the reason.
func (e *Engine) cutAll(cause error) {
	e.mu.Lock()
	if !e.isCutting() {
		e.cutCause = cause
		close(e.cutting)
	}
	e.mu.Unlock()
	e.stop((*loop).stopAtOnce)
	e.cancelStop()
}

// isCutting reports whether cutAll was called.
func (e *Engine) isCutting() bool {
	select {
	case <-e.cutting:
		return true
	default:
		return false
	}
}

// cutError tells how many connections were cut, and why. It is nil if none was.
func (e *Engine) cutError() error {
	n := e.cut.Load()
	if n == 0 {
		return nil
	}
	e.mu.Lock()
	cause := e.cutCause
	e.mu.Unlock()
	if cause == nil { // they were adopted in the last moment
		cause = ErrShutdown
	}
	return fmt.Errorf("engine: shutdown cut %d connections: %w", n, cause)
}

// over returns what the calling goroutine may wait for: the end of the engine, or in a function of
// OnShutdown, for which the engine waits, the end of the loops.
func (e *Engine) over() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.farewells) > 0 && e.farewells[goroutineNumber()] {
		return e.turned
	}
	return e.done
}

// stop makes every loop call how.
func (e *Engine) stop(how func(*loop)) {
	e.ending.Store(true)
	e.mu.Lock()
	if !e.stopping {
		e.beginStop()
	}
	if !e.running { // then the loops run now, to do and tell what was asked of them
		e.running = true
		close(e.started)
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
// Shutdown; with Close it ends at once. f may call Stats, Shutdown and Close, which then wait for
// the loops and not for f. The error is ErrClosed if the engine is ending already; then f is not
// called.
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
	close(e.stopBegun)
	e.farewells = make(map[uint64]bool)
	for _, f := range e.onShutdown {
		go func() {
			number := goroutineNumber()
			e.mu.Lock()
			e.farewells[number] = true
			e.mu.Unlock()
			defer e.oneEnded(number)
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
	if l.driverErr != nil { // not under e.mu: the Logger's Handler may call methods of the engine
		e.config.Logger.Error("engine: a loop has ended, and the engine with it", "loop", l.index, "error", l.driverErr)
	}
	e.mu.Lock()
	if l.driverErr != nil {
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
	if e.loopsLeft == 0 {
		close(e.turned)
	}
	e.mu.Unlock()
	e.oneEnded(0)
}

// reportBroken tells Run that the driver of a loop has failed. It is called with e.mu locked.
func (e *Engine) reportBroken() {
	select {
	case <-e.broken:
	default:
		close(e.broken)
	}
}

// oneEnded counts that a loop has ended, or that a function of OnShutdown has returned, which ran
// on goroutine number farewell.
func (e *Engine) oneEnded(farewell uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.farewells, farewell)
	e.waiting--
	if e.waiting == 0 {
		close(e.done)
	}
}
