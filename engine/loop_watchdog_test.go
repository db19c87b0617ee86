package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// blockHere is what TestBlockedLoopIsLogged looks for.
//
//go:noinline
func blockHere(until <-chan struct{}) { <-until }

// TestBlockedLoopIsLogged with the number of the loop and the place.
func TestBlockedLoopIsLogged(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, engine.Config{Loops: 2, BlockedAfter: 40 * time.Millisecond},
		func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	s.Post(1, func() { blockHere(release) })
	eventually(t, "message", func() bool {
		return strings.Contains(s.log.String(), "engine: a callback blocks its loop")
	})
	close(release)
	for _, want := range []string{"loop=1", "engine_test.blockHere", "for=40ms"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %q in %s", want, s.log.String())
		}
	}
	eventually(t, "rest of the watchdog", func() bool { return !s.Watching() })
}

// TestWatchdogLetsGoOfAnEngineThatHasEnded: its timer, which has hours to go, must not keep the
// engine in memory.
func TestWatchdogLetsGoOfAnEngineThatHasEnded(t *testing.T) {
	end := func() weak.Pointer[engine.Engine] {
		e, err := engine.New(engine.Config{Loops: 1, BlockedAfter: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- e.Run(context.Background()) }()
		turned := make(chan struct{})
		if err := e.Post(0, func() { close(turned) }); err != nil {
			t.Fatal(err)
		}
		<-turned
		e.Close()
		<-ended
		return weak.Make(e)
	}()
	eventually(t, "collection of the engine", func() bool {
		runtime.GC()
		return end.Value() == nil
	})
}

// TestWatchdog runs the watchdog step by step: a look stands for an eighth of Config.BlockedAfter.
func TestWatchdog(t *testing.T) {
	const message = "blocks its loop"
	var log bytes.Buffer
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 2, BlockedAfter: time.Hour,
		Logger: slog.New(slog.NewTextHandler(&log, nil))},
		func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	look := s.Watch()
	blocked := func(loop, looks int) (messages int) {
		log.Reset()
		s.Post(loop, func() {
			for range looks {
				look()
			}
		})
		s.Step()
		if err := errors.Join(s.Check(), s.net.Check()); err != nil {
			t.Fatal(err)
		}
		return strings.Count(log.String(), message)
	}
	if off := onSim(t, sim.Config{Seed: 1}, engine.Config{BlockedAfter: -1}, echoes); off.Watch() != nil {
		t.Error("it cannot be switched off")
	}
	if s.Watching() {
		t.Fatal("it looks before any loop has begun a turn")
	}
	s.Step()
	if !s.Watching() {
		t.Fatal("a turn has not started it")
	}
	look()
	if s.Watching() {
		t.Fatal("it does not rest while all loops sleep")
	}
	for _, test := range []struct {
		name        string
		loop, looks int
		want        int
	}{
		{name: "not long enough", looks: 8, want: 0},
		{name: "nor in the next turn", looks: 8, want: 0},
		{name: "long enough", looks: 9, want: 1},
		{name: "again within a minute", looks: 30, want: 0},
		{name: "another loop", loop: 1, looks: 30, want: 0},
	} {
		if got := blocked(test.loop, test.looks); got != test.want {
			t.Errorf("%s: %d messages, want %d", test.name, got, test.want)
		}
	}
}
