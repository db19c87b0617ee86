package engine_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestInheritedPathIsClosedWithoutOffer: a process that has taken over, and ends without an Offer,
// closes the socket at the Path. It stayed, and whoever came next found it in use, or nobody behind
// it.
func TestInheritedPathIsClosedWithoutOffer(t *testing.T) {
	for _, test := range []struct {
		name  string
		offer bool // when it is too late
	}{{"none", false}, {"late", true}} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, newMover)
			g.run()
			eventually(t, "offer", func() bool {
				_, err := os.Stat(h.Path)
				return err == nil
			})
			next := begin(t, h, c, engine.ListenConfig{}, newMover)
			go next.Engine.Run(context.Background())
			receive(t, "end of the old engine", g.ran)
			next.waitFor(t, engine.HandoverDone)
			if err := next.Close(); err != nil {
				t.Fatal(err)
			}
			if test.offer {
				if err := next.h.Offer(t.Context(), next.Engine); err != engine.ErrClosed {
					t.Errorf("Offer after the end: %v", err)
				}
			}
			if _, err := os.Stat(h.Path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file: %v", err)
			}
			last := begin(t, h, c, engine.ListenConfig{}, newMover) // nobody is there
			last.run()
			last.handOver(t, h, c, engine.ListenConfig{}, newMover)
		})
	}
}

// TestHeldListenerOfEndedEngine: a listener that has waited for its handover is closed if the loops
// have ended by then. Its socket stayed, with nobody to accept.
func TestHeldListenerOfEndedEngine(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	e.Hold()
	ln, err := e.Listen("tcp", "127.0.0.1:0", newMover)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	e.StartHeld()
	if c, err := net.Dial("tcp", ln.String()); err == nil {
		c.Close()
		t.Error("somebody listens")
	}
}
