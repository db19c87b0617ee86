package engine

import (
	"context"
	"runtime/debug"
)

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

// oneEnded says that a loop has ended, or a function of OnShutdown.
func (e *Engine) oneEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left--; e.left == 0 {
		close(e.done)
	}
}
