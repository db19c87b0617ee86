package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestOnShutdownIsWaitedFor: the engine has ended when the function has returned, which learns when
// there is no more time.
func TestOnShutdownIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*engine.Engine) error
		hurry bool // the function returns only when there is no more time
	}{
		{name: "Shutdown", end: func(e *engine.Engine) error { return e.Shutdown(context.Background()) }},
		{name: "Shutdown with a deadline", hurry: true, end: func(e *engine.Engine) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			return e.Shutdown(ctx)
		}},
		{name: "Close", hurry: true, end: (*engine.Engine).Close},
	} {
		for _, before := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				var e *engine.Engine
				if before {
					var err error
					if e, err = engine.New(engine.Config{Loops: 1}); err != nil {
						t.Fatal(err)
					}
				} else {
					e = running(t).Engine
				}
				called, returned := make(chan struct{}), make(chan error, 1)
				proceed := make(chan struct{})
				err := e.OnShutdown(func(ctx context.Context) {
					close(called)
					if c.hurry {
						<-ctx.Done()
					}
					<-proceed
				})
				if err != nil {
					t.Fatal(err)
				}
				go func() { returned <- c.end(e) }()
				receive(t, "call", called)
				eventually(t, "end of the loop", func() bool { return e.Post(0, func() {}) != nil })
				select {
				case err := <-returned:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
				close(proceed)
				if err := receive(t, "end", returned); err != nil {
					t.Error(err)
				}
				if err := e.OnShutdown(func(context.Context) { t.Error("called after the end") }); !errors.Is(err,
					engine.ErrClosed) {
					t.Errorf("OnShutdown after the end: %v", err)
				}
			})
		}
	}
}

// running is an engine whose Run was called.
func running(t *testing.T) *server {
	t.Helper()
	s := serve(t, engine.Config{Loops: 1}, echoes)
	turned := make(chan struct{})
	s.Post(0, func() { close(turned) })
	receive(t, "turn", turned)
	return s
}

// TestOnShutdownPanic is logged, and the engine ends all the same.
func TestOnShutdownPanic(t *testing.T) {
	s := running(t)
	s.OnShutdown(func(context.Context) { panic("in vain") })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.log.String(), "in vain") {
		t.Errorf("logged: %s", s.log)
	}
}

// TestOnShutdownOfBrokenLoops is called although nobody has asked the engine to end.
func TestOnShutdownOfBrokenLoops(t *testing.T) {
	e, err := engine.NewOn(broken{sim.New(sim.Config{Seed: 1})}, engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan error, 1)
	e.OnShutdown(func(ctx context.Context) { called <- ctx.Err() })
	for e.Step() {
	}
	if err := receive(t, "call", called); err == nil {
		t.Error("it was given time, which nobody would end")
	}
	if err := e.Close(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

var errBroken = errors.New("broken")

// broken is a backend whose pollers fail.
type broken struct{ driver.Backend }

func (b broken) Open() (driver.Poller, driver.Sockets, error) {
	p, s, err := b.Backend.Open()
	return brokenPoller{p}, s, err
}

type brokenPoller struct{ driver.Poller }

func (brokenPoller) Poll(time.Duration, driver.Sink) (int, error) { return 0, errBroken }
