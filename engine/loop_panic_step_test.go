package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// What a panic must not cost the loop: the rest of its turn, and being the only goroutine on it.

// TestPanickingDatagramsLetTheTurnGoOn: while they came, no timer fired and nothing posted ran.
func TestPanickingDatagramsLetTheTurnGoOn(t *testing.T) {
	var ticks, datagrams atomic.Int64
	s, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			var tick func()
			tick = func() { ticks.Add(1); p.AfterFunc(10*time.Millisecond, tick) }
			tick()
			return &packets{datagram: func(engine.PacketAddr, []byte) {
				datagrams.Add(1)
				panic("boom")
			}}
		})
	over := make(chan struct{})
	for range 2 {
		c := dialPackets(t, "udp", pl.String())
		go func() {
			for {
				select {
				case <-over:
					return
				default:
					c.Write([]byte("x"))
				}
			}
		}()
	}
	defer close(over)
	eventually(t, "flood", func() bool { return datagrams.Load() > 1000 })
	before, begin := ticks.Load(), time.Now()
	for range 20 {
		posted := make(chan bool, 1)
		s.Post(0, func() { posted <- true })
		receive(t, "call of a posted function", posted)
	}
	eventually(t, "20 ticks", func() bool { return ticks.Load() > before+20 })
	if took := time.Since(begin); took > 5*time.Second { // of 0.4 s
		t.Errorf("20 ticks of 10 ms took %v", took)
	}
}

// TestPanicInWorkedLetsTheTurnGoOn: it ended every turn, and with it all that follows a poll.
func TestPanicInWorkedLetsTheTurnGoOn(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1,
		Observer: engine.Observer{Worked: func(int, time.Duration) { panic("boom") }}},
		func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	posted := make(chan bool, 1)
	s.Post(0, func() { posted <- true })
	receive(t, "call of a posted function", posted)
	ask(t, s.dial(t), "hello")
}

// TestPanicEndsOneStepOnly: with a panic in every poll, and in every posted function and timer, all
// go on.
func TestPanicEndsOneStepOnly(t *testing.T) {
	var s *packetSim
	var posted, fired, came int
	s = onSimPackets(t, sim.Config{Seed: 1, Faults: sim.Faults{Tick: time.Millisecond}},
		engine.Config{Loops: 1}, func(p *engine.PacketConn) engine.PacketProtocol {
			var tick func()
			tick = func() { fired++; p.AfterFunc(time.Millisecond, tick); panic("in a timer") }
			p.AfterFunc(time.Millisecond, tick)
			return &packets{datagram: func(engine.PacketAddr, []byte) {
				came++
				s.send(1, "the next") // another one always waits
				panic("in a datagram")
			}}
		})
	s.until(t, time.Second, func() bool { return s.net.Descriptors() == 3 })
	var again func()
	again = func() { posted++; s.Post(0, again); panic("in a posted function") }
	s.Post(0, again)
	s.Step()
	s.send(1, "the first")
	for range 100 {
		s.Step()
	}
	if posted < 100 || came < 100 || fired == 0 {
		t.Errorf("in 100 turns %d posted functions, %d datagrams and %d timers", posted, came, fired)
	}
}

// loopGoroutines counts the goroutines that turn loops.
func loopGoroutines() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "engine.(*loop).run(")
}

// TestPanicNilKeepsOneGoroutine: it was taken for runtime.Goexit, and each began another goroutine
// on the loop.
func TestPanicNilKeepsOneGoroutine(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	s := serve(t, engine.Config{Loops: 1, Observer: engine.Observer{Opened: func(*engine.Conn) { panic(nil) }}},
		func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	eventually(t, "loop", func() bool { return loopGoroutines() > 0 })
	before := loopGoroutines()
	for range 3 {
		s.Post(0, func() { panic(nil) })
		ask(t, s.dial(t), "alive")
	}
	if n := loopGoroutines() - before; n > 0 {
		t.Errorf("%d more goroutines on a loop", n)
	}
}

// TestGoexitInOpenedKeepsWhatWasWritten: the greeting was lost, and a second goroutine turned the
// loop while the first one's deferred functions still used it.
func TestGoexitInOpenedKeepsWhatWasWritten(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1, Observer: engine.Observer{Opened: func(*engine.Conn) { runtime.Goexit() }}},
		func(c *engine.Conn) engine.Protocol {
			c.Write([]byte("hello"))
			return echoOn(c)
		})
	for range 20 {
		c := s.dial(t)
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		ask(t, c, "alive")
	}
}

// TestGoexitInOpenedOfADialledConnection: it was still registered for what a connecting one waits
// for.
func TestGoexitInOpenedOfADialledConnection(t *testing.T) {
	peer := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	s := serve(t, engine.Config{Loops: 1, Observer: engine.Observer{Opened: func(*engine.Conn) { runtime.Goexit() }}},
		echoes)
	came := make(chan string, 1)
	flushed := make(chan bool, 1)
	s.Dial(t.Context(), "tcp", peer.ln.String(), engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
		c.Write([]byte("hello"))
		return &flushes{proto{feed: func(b []byte) (int, error) { came <- string(b); return len(b), nil }}, flushed}
	})
	if got := receive(t, "answer", came); got != "hello" || len(flushed) > 0 {
		t.Errorf("got %q; Flushed was called %d times", got, len(flushed))
	}
}

type flushes struct {
	proto
	flushed chan bool
}

func (f *flushes) Flushed() { f.flushed <- true }

// nilError is the error of a well-known mistake: a nil pointer in an error that is not nil.
type nilError struct{ inner error }

func (e *nilError) Error() string { return "parse error" }
func (e *nilError) Unwrap() error { return e.inner }

// wildError has methods that end more than their call.
type wildError struct{ end func() }

func (e wildError) Error() string { return "wild" }
func (e wildError) Is(error) bool { e.end(); return false }

// TestErrorWhoseMethodsPanic: the engine asks a Feed's error for its cause. That ended the process.
func TestErrorWhoseMethodsPanic(t *testing.T) {
	for name, wrong := range map[string]error{
		"nil pointer": (*nilError)(nil), "panic": wildError{func() { panic("boom") }},
		"Goexit": wildError{runtime.Goexit},
	} {
		t.Run(name, func(t *testing.T) {
			reasons := make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{
					feed: func(b []byte) (int, error) {
						c.Write(b)
						if b[0] == 'x' {
							return len(b), wrong
						}
						return len(b), nil
					},
					closed: func(err error) { reasons <- err },
				}
			})
			bystander := s.dial(t)
			ask(t, bystander, "before")
			c := s.dial(t)
			ask(t, c, "x") // what it wrote is flushed
			c.Close()
			if err := receive(t, "reason", reasons); err == nil {
				t.Error("no reason")
			}
			ask(t, bystander, "after")
			stats, err := s.Stats(t.Context())
			if err != nil || stats.Closed[engine.CauseProtocol] != 1 || stats.Panics != 1 {
				t.Errorf("%v, closed %v, %d panics", err, stats.Closed, stats.Panics)
			}
		})
	}
}

// TestPanicOfANilPanicError ended the process.
func TestPanicOfANilPanicError(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	s.Post(0, func() { panic((*engine.PanicError)(nil)) })
	ask(t, s.dial(t), "alive")
}

// wildHandler panics over each message.
type wildHandler struct{ slog.Handler }

func (wildHandler) Handle(context.Context, slog.Record) error { panic("in the log") }

// TestLogHandlerThatPanics ended the process with the next message.
func TestLogHandlerThatPanics(t *testing.T) {
	c := engine.Config{Loops: 1, Logger: slog.New(wildHandler{slog.Default().Handler()})}
	e, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- e.Run(t.Context()) }()
	e.Post(0, func() { panic("boom") })
	posted := make(chan bool, 1)
	e.Post(0, func() { posted <- true })
	receive(t, "call of a posted function", posted)
	e.Close()
	if err := receive(t, "end of Run", ran); err != nil && !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
}
