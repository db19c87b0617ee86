package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// TestOldProcessIsEnding: an old process that ends closes the handover first, and its Path a moment
// later. A new one that was ready in between took it for one that goes on, and ended as well.
func TestOldProcessIsEnding(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	old, err := protocol.Listen(h.Path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		w, err := old.Accept(t.Context())
		if err == nil {
			err = protocol.NewGiver(w, protocol.GiverConfig{}).Run(ctx)
		}
		given <- err
	}()
	next := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	end()
	if err := receive(t, "end of the handover", given); err != context.Canceled {
		t.Fatal(err)
	}
	go func() {
		if w, err := old.Accept(t.Context()); err == nil { // the new one looks for the old one
			w.Close()
		}
		old.Close(true)
	}()
	next.run()
	next.waitFor(t, engine.HandoverFailed)
	pos := uint64(0)
	talk(t, dialTo(t, next.ln.String()), &pos, 1)
	next.handOver(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
}

// waitsInLog is a slog.Handler that waits when something goes wrong.
type waitsInLog struct {
	slog.Handler
	waits, goOn chan struct{}
}

func (waitsInLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (w waitsInLog) Handle(context.Context, slog.Record) error {
	w.waits <- struct{}{}
	<-w.goOn
	return nil
}

// TestOldProcessLogsItsEnd: Offer told the Logger that a handover had failed, and closed the Path
// only then, although its engine had ended: as above.
func TestOldProcessLogsItsEnd(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	log := waitsInLog{slog.DiscardHandler, make(chan struct{}, 10), make(chan struct{})}
	old, err := engine.New(engine.Config{Loops: 1, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { old.Close() })
	go old.Run(context.Background())
	offered := make(chan error, 1)
	go func() { offered <- h.Offer(context.Background(), old) }()
	offering(t, h.Path)
	next := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, "message", log.waits)
	next.run()
	next.waitFor(t, engine.HandoverFailed)
	pos := uint64(0)
	talk(t, dialTo(t, next.ln.String()), &pos, 1)
	close(log.goOn)
	if err := receive(t, "end of Offer", offered); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Offer: %v", err)
	}
}
