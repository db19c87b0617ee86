package nats

import (
	"context"
	"log/slog"
	"runtime/debug"
)

// call calls user code, and returns when that has ended. It has a goroutine of its own, so that
// neither a panic nor runtime.Goexit costs the Broker one of its.
func (b *Broker) call(name string, f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if v := recover(); v != nil {
				b.cfg.log.Error("nats: panic in a callback",
					"callback", name, "panic", v, "stack", string(debug.Stack()))
			}
		}()
		f()
	}()
	<-ended
}

// logGuard is the Handler of Broker.Logger, for goroutines where no panic is caught: a message that
// it panics over is lost.
type logGuard struct{ slog.Handler }

// Enabled implements slog.Handler.
func (g logGuard) Enabled(ctx context.Context, level slog.Level) (on bool) {
	defer func() { recover() }()
	return g.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (g logGuard) Handle(ctx context.Context, r slog.Record) error {
	defer func() { recover() }()
	return g.Handler.Handle(ctx, r)
}
