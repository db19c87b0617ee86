package tlslayer

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/handover"
)

// frozenOnLoop makes the connections of s freeze: it is a new process that does not acknowledge
// them. thaw ends it.
func frozenOnLoop(t *testing.T, path string) (thaw func()) {
	t.Helper()
	w, err := handover.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	batches := make(chan *handover.Incoming, 10)
	taker := handover.NewTaker(w, handover.TakerConfig{
		StateVersion: 1 << 16, // that of the engine, with Handover.Version 0
		Prepare:      func(b *handover.Incoming) { batches <- b },
		Own:          func(*handover.Incoming, handover.Set) { t.Error("the taker owns something") },
		Drop:         func(*handover.Incoming) {},
	})
	if _, err := taker.Listeners(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- taker.Run(ctx) }()
	select {
	case b := <-batches:
		return func() {
			stop()
			<-over
			b.Acknowledge(handover.Set{})
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no connection is frozen")
		panic("unreachable")
	}
}

// TestFrozenConnectionEndsInOrder: whatever ends a connection in order while it is frozen, its
// client gets a close_notify when it is thawed: without one, crypto/tls says that it was cut off.
func TestFrozenConnectionEndsInOrder(t *testing.T) {
	for name, end := range map[string]func(*engine.Engine, *engine.Conn){
		"Close":      func(_ *engine.Engine, c *engine.Conn) { c.Close() },
		"CloseWith":  func(_ *engine.Engine, c *engine.Conn) { c.CloseWith(io.ErrNoProgress) },
		"CloseWrite": func(_ *engine.Engine, c *engine.Conn) { c.CloseWrite() },
		"Write and Close": func(_ *engine.Engine, c *engine.Conn) {
			c.Write([]byte("the end"))
			c.Close()
		},
		"Shutdown": func(e *engine.Engine, _ *engine.Conn) { go e.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "handover")
			s := succeed(t, path, Config{TLS: testConfig()})
			nc := dial(t, s.addr, changed(nil))
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(nc, "x\n")
			if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
			thaw := frozenOnLoop(t, path)
			c, done, ending := <-s.conns, make(chan bool), make(chan bool)
			if err := s.OnShutdown(func(context.Context) { close(ending) }); err != nil {
				t.Fatal(err)
			}
			if err := s.Post(c.Loop(), func() {
				end(s.Engine, c)
				close(done)
			}); err != nil {
				t.Fatal(err)
			}
			<-done
			if name == "Shutdown" {
				<-ending
			}
			thaw()
			want := ""
			if name == "Write and Close" {
				want = "the end"
			}
			if b, err := io.ReadAll(nc); err != nil || string(b) != want {
				t.Errorf("%q, %v; want %q and the end", b, err, want)
			}
			nc.Close()
		})
	}
}
