package engine

import (
	"context"
	"log/slog"
	"sync"
)

// logGuard is the Handler of Config.Logger. That is user code, and loops call it where no panic is
// caught: a message that it panics over is lost. So is one over which it calls runtime.Goexit, as
// t.FailNow does. That would end the loop, so the Handler has a goroutine of its own for each call.
// A loop logs rarely.
type logGuard struct{ slog.Handler }

func guarded(l *slog.Logger) *slog.Logger { return slog.New(logGuard{l.Handler()}) }

// Enabled implements slog.Handler.
func (g logGuard) Enabled(ctx context.Context, level slog.Level) (on bool) {
	apart(func() { on = g.Handler.Enabled(ctx, level) })
	return on
}

// Handle implements slog.Handler.
func (g logGuard) Handle(ctx context.Context, r slog.Record) (err error) {
	apart(func() { err = g.Handler.Handle(ctx, r) })
	return err
}

// apart calls f on another goroutine, and waits for it.
func apart(f func()) {
	caller, done := callerNumber(), make(chan struct{})
	go func() {
		number := goroutineNumber()
		callers.Store(number, caller)
		defer func() {
			recover()
			callers.Delete(number)
			close(done)
		}()
		f()
	}()
	<-done
}

// callers has the goroutines of apart, with the number of the one that waits for each. What a
// Handler must not do on a loop, such as to wait for it, it must not do apart from it either.
var callers sync.Map

// callerNumber is goroutineNumber, but in a function of apart it is that of its caller.
func callerNumber() uint64 {
	n := goroutineNumber()
	if caller, ok := callers.Load(n); ok {
		return caller.(uint64)
	}
	return n
}
