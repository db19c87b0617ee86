package engine

import (
	"context"
	"log/slog"
)

// logGuard is the Handler of Config.Logger. That is user code, and loops call it where no panic is
// caught: a message that it panics over is lost.
type logGuard struct{ slog.Handler }

func guarded(l *slog.Logger) *slog.Logger { return slog.New(logGuard{l.Handler()}) }

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
