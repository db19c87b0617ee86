package engine_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// silentTaker is a new process that takes the listeners, says READY, and does not acknowledge.
type silentTaker struct {
	taker *protocol.Taker
	stop  context.CancelFunc
	over  chan error
	got   chan *protocol.Incoming
}

func takeSilently(t *testing.T, path string, version uint16) *silentTaker {
	t.Helper()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	w, err := protocol.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s := &silentTaker{over: make(chan error, 1), got: make(chan *protocol.Incoming, 10)}
	s.taker = protocol.NewTaker(w, protocol.TakerConfig{
		StateVersion: engine.StateVersion(version),
		Prepare:      func(b *protocol.Incoming) { s.got <- b },
		Own:          func(*protocol.Incoming, protocol.Set) { t.Error("the taker owns something") },
		Drop:         func(*protocol.Incoming) {},
	})
	in, err := s.taker.Listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ln := range in.Listeners {
		for _, fd := range ln.FDs {
			engine.Platform.CloseFd(fd)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.over <- s.taker.Run(ctx) }()
	return s
}

// end ends the taker without an acknowledgement, as if it had died.
func (s *silentTaker) end(t *testing.T, batches []*protocol.Incoming) {
	t.Helper()
	s.stop()
	receive(t, "end of the taker", s.over)
	for _, b := range batches {
		b.Acknowledge(protocol.Set{})
	}
}

// TestThawedConnectionGoesOn: a connection whose new process has died goes on as if nothing had
// been: its bytes, what was posted to it and written to it while it was frozen, and its timers.
func TestThawedConnectionGoesOn(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	var mu sync.Mutex
	var heard []string
	hear := func(what string) {
		mu.Lock()
		heard = append(heard, what)
		mu.Unlock()
	}
	posted, ticked := make(chan bool, 1), make(chan bool, 1)
	var once sync.Once
	c := engine.Config{Loops: 1}
	var frozen *engine.Conn
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		m := &mover{c: c}
		m.save = func() error {
			once.Do(func() {
				frozen = c
				handle := c.Handle()
				handle.Send([]byte("1"))
				handle.Post(func(c *engine.Conn) {
					hear("posted")
					c.Write([]byte("2"))
				})
				handle.Send([]byte("3"))
				engine.Each(slices.Values([]engine.Handle{handle}), func(c *engine.Conn) {
					c.Write([]byte("4"))
					posted <- true
				})
				c.AfterFunc(0, func() { ticked <- true }).LeaveBehind()
			})
			return nil
		}
		return m
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	nc.Write([]byte("abc")) // of a unit
	taker := takeSilently(t, h.Path, 0)
	batch := receive(t, "batch", taker.got)
	nc.Write([]byte("defg"))
	g.Post(0, func() {
		hear("while it is frozen")
		frozen.Write([]byte("0"))
		frozen.PauseRead()
		frozen.ResumeRead()
	})
	eventually(t, "turn", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) > 0
	})
	if s := stats(t, g.Engine); s.Connections != 1 || s.Handover.Stage != engine.HandoverMoving {
		t.Errorf("%d connections, %+v", s.Connections, s.Handover)
	}
	taker.end(t, []*protocol.Incoming{batch})
	receive(t, "posted function", posted)
	receive(t, "timer", ticked)
	got := make([]byte, 5)
	if _, err := io.ReadFull(nc, got); err != nil {
		t.Fatal(err)
	}
	// The answer to abcdefg may come before what was posted, or behind it.
	rest := make([]byte, moverUnit)
	if _, err := io.ReadFull(nc, rest); err != nil {
		t.Fatal(err)
	}
	all := string(got) + string(rest)
	if all[0] != '0' {
		t.Errorf("%q does not begin with what was written first", all)
	}
	mu.Lock()
	if len(heard) != 2 || heard[0] != "while it is frozen" || heard[1] != "posted" {
		t.Errorf("heard %q", heard)
	}
	mu.Unlock()
	pos += moverUnit
	talk(t, nc, &pos, 5)
	g.waitFor(t, engine.HandoverFailed)
	other := uint64(0)
	talk(t, dialTo(t, g.ln.String()), &other, 1) // it accepts again
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 5)
}

// TestFrozenConnectionEnds: what ends it while it is frozen ends it when it is thawed.
func TestFrozenConnectionEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*engine.Engine, *engine.Conn)
		want error
	}{
		{"Abort", func(_ *engine.Engine, c *engine.Conn) { c.Abort() }, engine.ErrAborted},
		{"CloseWith", func(_ *engine.Engine, c *engine.Conn) { c.CloseWith(io.ErrNoProgress) }, io.ErrNoProgress},
		{"Shutdown", func(e *engine.Engine, _ *engine.Conn) { go e.Shutdown(context.Background()) },
			engine.ErrShutdown},
		{"Close", func(e *engine.Engine, _ *engine.Conn) { go e.Close() }, engine.ErrShutdown},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			conns, reasons := make(chan *engine.Conn, 1), make(chan error, 1)
			g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				conns <- c
				return &mover{c: c, closed: func(err error) { reasons <- err }}
			})
			g.run()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			taker := takeSilently(t, h.Path, 0)
			batch := receive(t, "batch", taker.got)
			c := <-conns
			done := make(chan bool)
			g.Post(0, func() {
				test.end(g.Engine, c)
				close(done)
			})
			receive(t, "end", done)
			taker.end(t, []*protocol.Incoming{batch})
			go func() {
				io.Copy(io.Discard, nc)
				nc.Close()
			}()
			if err := receive(t, "reason", reasons); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// TestHandoverUnderLoad: ten processes, one after the other. No connection closes, and none gets a
// wrong byte.
func TestHandoverUnderLoad(t *testing.T) {
	k := &killing{t: t, dir: t.TempDir(), address: "127.0.0.1:" + unusedPort(t, "127.0.0.1:0")}
	k.begin()
	for round := range 10 {
		old := k.now
		next := startProcess(t, k.dir, k.address)
		if !next.await(t, "serving") {
			t.Fatalf("round %d: the new process has ended:\n%s", round, next.output())
		}
		old.end()
		k.now = next
		k.settle(true)
		t.Log(strings.TrimSpace(next.output()))
		if k.ended > 0 {
			t.Fatalf("round %d: %d connections have ended:\n%s%s", round, k.ended, old.output(), next.output())
		}
		k.check()
	}
}

// flusher is a mover that tells when everything is written.
type flusher struct {
	*mover
	flushed chan bool
}

func (f flusher) Flushed() {
	select {
	case f.flushed <- true:
	default:
	}
}

// TestThawedConnectionIsFlushed: who has found that a frozen connection takes nothing waits for
// Flushed, whether something was written to it or not.
func TestThawedConnectionIsFlushed(t *testing.T) {
	for _, text := range []string{"", "0"} {
		h := engine.Handover{Path: handoverPath(t), Load: loadMover}
		conns, flushed := make(chan *engine.Conn, 1), make(chan bool, 1)
		g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
			conns <- c
			return flusher{&mover{c: c}, flushed}
		})
		g.run()
		nc, pos := dialTo(t, g.ln.String()), uint64(0)
		talk(t, nc, &pos, 1)
		taker := takeSilently(t, h.Path, 0)
		batch := receive(t, "batch", taker.got)
		c := <-conns
		pressure := make(chan engine.Pressure)
		g.Post(0, func() {
			c.Write([]byte(text))
			pressure <- c.Pressure()
		})
		if p := receive(t, "pressure", pressure); p != engine.Queued {
			t.Errorf("pressure %d", p)
		}
		taker.end(t, []*protocol.Incoming{batch})
		receive(t, "call of Flushed", flushed)
	}
}
