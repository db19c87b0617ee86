package engine_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestNewProcessThatEndsTakesNothingMore: a new engine that is shut down while connections move
// leaves the rest to the old one, which goes on.
func TestNewProcessThatEndsTakesNothingMore(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: time.Hour}
	var may atomic.Bool
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, save: func() error {
			if !may.Load() {
				return errors.New("not yet")
			}
			return nil
		}}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	offering(t, h.Path) // or the next one finds nobody, and begins by itself
	next := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	next.run()
	g.waitFor(t, engine.HandoverMoving)
	if err := next.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	may.Store(true)
	g.waitFor(t, engine.HandoverFailed)
	talk(t, nc, &pos, 2)
	other := uint64(0)
	talk(t, dialTo(t, g.ln.String()), &other, 1)
}

// TestOfferAgain: an Offer that was cancelled can be repeated, also by a process that has
// inherited.
func TestOfferAgain(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	next := begin(t, h, c, engine.ListenConfig{}, newMover)
	go func() { next.ran <- next.Run(context.Background()) }()
	next.waitFor(t, engine.HandoverDone)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for range 2 {
		if err := next.h.Offer(cancelled, next.Engine); err != context.Canceled {
			t.Errorf("a cancelled Offer: %v", err)
		}
	}
	go func() { next.offered <- next.h.Offer(context.Background(), next.Engine) }()
	next.handOver(t, h, c, engine.ListenConfig{}, newMover)
}

// TestOfferOnALoop: it would wait for itself.
func TestOfferOnALoop(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t)}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	go g.Run(context.Background())
	errs := make(chan error, 1)
	g.Post(0, func() { errs <- g.h.Offer(context.Background(), g.Engine) })
	if err := receive(t, "end of Offer", errs); err != engine.ErrOnLoop {
		t.Errorf("Offer on a loop: %v", err)
	}
}

// wrongLink gives nothing.
type wrongLink struct{ give func() }

func (w wrongLink) Give(_ net.Conn, moved <-chan struct{}) {
	<-moved
	w.give()
}

func (w wrongLink) Take(link net.Conn) error { return link.Close() }

// TestWrongLinks: a Give that panics, or does not return, does not keep a handover from its end.
func TestWrongLinks(t *testing.T) {
	for _, test := range []struct {
		name string
		give func()
		log  string
	}{
		{"panic", func() { panic("in Give") }, "in Give"},
		{"wait", func() { select {} }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover, Timeout: time.Second,
				Links: map[string]engine.Link{"wrong": wrongLink{test.give}}}
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, newMover)
			g.run()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			talk(t, nc, &pos, 1)
			if !strings.Contains(g.log.String(), test.log) {
				t.Errorf("the log has no %q:\n%s", test.log, g.log)
			}
		})
	}
}

// TestOfferThatFailsKeepsNothing: a program may call it again and again, as long as another process
// has the Path.
func TestOfferThatFailsKeepsNothing(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t)}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	offering(t, h.Path)
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 10 {
		if err := h.Offer(t.Context(), e); err == nil || errors.Is(err, engine.ErrClosed) {
			t.Fatal(err)
		}
	}
	if n := e.ShutdownFuncs(); n != 0 {
		t.Errorf("the engine keeps %d functions", n)
	}
	e.Close()
	if err := h.Offer(t.Context(), e); err != engine.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}
