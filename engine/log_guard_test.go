package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// handling is a slog.Handler that calls a function for each message.
type handling struct {
	slog.Handler
	handle func()
}

func (h handling) Handle(context.Context, slog.Record) error {
	h.handle()
	return nil
}

// serveLogging is an engine whose Protocol panics when it is sent "!", and echoes otherwise.
func serveLogging(t *testing.T, h slog.Handler) (*engine.Engine, *server) {
	t.Helper()
	eng, err := engine.New(engine.Config{Loops: 1, Logger: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Engine: eng}
	s.ln, err = eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		echo := echoOn(c)
		return &proto{feed: func(b []byte) (int, error) {
			if b[0] == '!' {
				panic("a bug")
			}
			return echo.feed(b)
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		receive(t, "end", ran)
	})
	return eng, s
}

// TestGoexitInLogger: a Handler that ends its goroutine, as t.FailNow does, ended the loop for
// good, and the connection whose panic it was told of stayed open.
func TestGoexitInLogger(t *testing.T) {
	logged := make(chan bool, 10)
	eng, s := serveLogging(t, handling{logTo(&lockedBuffer{}).Handler(), func() {
		logged <- true
		runtime.Goexit()
	}})
	c := s.dial(t)
	io.WriteString(c, "!")
	receive(t, "message", logged)
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	ask(t, s.dial(t), "alive")
	if n := stats(t, eng).Panics; n != 1 {
		t.Errorf("%d panics, want 1", n)
	}
}

// TestLoggerIsOnTheLoop: what a Handler must not wait for is refused, as in other calls of user
// code on a loop.
func TestLoggerIsOnTheLoop(t *testing.T) {
	answers := make(chan error, 3)
	var eng *engine.Engine
	var s *server
	eng, s = serveLogging(t, handling{logTo(&lockedBuffer{}).Handler(), func() {
		_, err := eng.Stats(context.Background())
		answers <- err
		answers <- eng.Close()
		answers <- eng.Shutdown(context.Background())
	}})
	io.WriteString(s.dial(t), "!")
	for range cap(answers) {
		if err := receive(t, "answer", answers); !errors.Is(err, engine.ErrOnLoop) {
			t.Errorf("error %v", err)
		}
	}
	ask(t, s.dial(t), "alive")
}
