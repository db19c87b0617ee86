package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// asksStats is a slog.Handler that asks the engine for its Stats.
type asksStats struct {
	slog.Handler
	engine *atomic.Pointer[engine.Engine]
	asked  chan error
}

func (asksStats) Enabled(context.Context, slog.Level) bool { return true }

func (a asksStats) Handle(ctx context.Context, _ slog.Record) error {
	_, err := a.engine.Load().Stats(ctx)
	a.asked <- err
	return nil
}

// TestLoggerAsksTheEngineInAHandover: a message about a socket that the new process does not want
// was logged under the engine's lock. A Handler that called a method of the engine waited for ever,
// and so did everybody else.
func TestLoggerAsksTheEngineInAHandover(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	offering(t, h.Path)
	log := asksStats{slog.DiscardHandler, new(atomic.Pointer[engine.Engine]), make(chan error, 10)}
	next, err := engine.New(engine.Config{Loops: 1, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.Close() })
	log.engine.Store(next)
	if found, err := h.Inherit(t.Context(), next); err != nil || !found {
		t.Fatal(found, err)
	}
	go next.Run(context.Background()) // and nothing listens
	if err := receive(t, "end of Offer", g.offered); !errors.Is(err, engine.ErrHandedOver) {
		t.Error(err)
	}
	if err := receive(t, "answer to the Handler", log.asked); err != nil {
		t.Error(err)
	}
}

// wrongError is an error of Save that cannot tell why the connection does not move.
type wrongError struct{ error }

func (wrongError) Unmovable() string { panic("in Unmovable") }

// TestErrorOfSaveThatPanics: a panic in a method of what Save has returned ended the process. Now
// it closes the connection, as one in Save does.
func TestErrorOfSaveThatPanics(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1, Linger: 10 * time.Millisecond}
	closed := make(chan error, 1)
	accepted := 0
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		m := &mover{c: c}
		if accepted++; accepted == 1 {
			m.save = func() error { return wrongError{errors.New("an error")} }
			m.closed = func(err error) { closed <- err }
		}
		return m
	})
	g.run()
	wrong, right := dialTo(t, g.ln.String()), dialTo(t, g.ln.String())
	pos, other := uint64(0), uint64(0)
	talk(t, wrong, &pos, 1)
	talk(t, right, &other, 1)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	var panicked *engine.PanicError
	if err := receive(t, "Closed", closed); !errors.As(err, &panicked) {
		t.Errorf("Closed got %v", err)
	}
	talk(t, right, &other, 1)
}

// TestErrorOfLoadThatPanics: what Load returned was asked for its text outside a call of user code.
// A panic there ended the process.
func TestErrorOfLoadThatPanics(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	wrong, right := dialTo(t, g.ln.String()), dialTo(t, g.ln.String())
	first, second := uint64(0), uint64(0)
	talk(t, wrong, &first, 2)
	talk(t, right, &second, 1)
	h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		if state[7] == 2*moverUnit {
			return nil, unspeakable{}
		}
		return loadMover(c, state)
	}
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if _, err := wrong.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection that could not be loaded: %v", err)
	}
	talk(t, right, &second, 1)
}
