package engine_test

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// TestFrozenConnectionThatMovesGoesOn: what is asked of a connection while it is on its way is not
// done if the new process has it. Nothing of it reaches the peer, and Closed is told how many bytes
// were lost.
func TestFrozenConnectionThatMovesGoesOn(t *testing.T) {
	for _, test := range []struct {
		name   string
		do     func(*engine.Conn)
		unsent int
	}{
		{"Close", (*engine.Conn).Close, 0},
		{"CloseWith", func(c *engine.Conn) { c.CloseWith(io.ErrNoProgress) }, 0},
		{"CloseWrite", (*engine.Conn).CloseWrite, 0},
		{"Abort", (*engine.Conn).Abort, 0},
		{"Write", func(c *engine.Conn) { c.Write([]byte("lost")) }, 4},
		{"Write and Close", func(c *engine.Conn) {
			c.Write([]byte("lost"))
			c.Close()
		}, 4},
		{"Handle.Close", func(c *engine.Conn) { c.Handle().Close() }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			c := engine.Config{Loops: 1}
			var frozen *engine.Conn // the first of two in a batch
			reasons := make(chan error, 1)
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				m := &mover{c: c}
				m.closed = func(err error) {
					if c == frozen {
						reasons <- err
					}
				}
				m.save = func() error {
					switch {
					case frozen == nil:
						frozen = c
					case c != frozen && engine.IsFrozen(frozen):
						test.do(frozen)
					case c != frozen:
						t.Error("the other one is not frozen")
					}
					return nil
				}
				return m
			})
			g.run()
			conns, pos := [...]io.ReadWriter{dialTo(t, g.ln.String()), dialTo(t, g.ln.String())}, [2]uint64{}
			for i, nc := range conns {
				talk(t, nc, &pos[i], 1)
			}
			next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			for i, nc := range conns {
				talk(t, nc, &pos[i], 3)
			}
			err := receive(t, "reason", reasons)
			var unsent *engine.UnsentError
			if !errors.Is(err, engine.ErrHandedOver) || errors.As(err, &unsent) != (test.unsent > 0) ||
				unsent != nil && unsent.Bytes != test.unsent {
				t.Errorf("Closed has %v, want %d unsent bytes", err, test.unsent)
			}
			if n := stats(t, next.Engine).Connections; n != 2 {
				t.Errorf("%d connections in the new process, want 2", n)
			}
		})
	}
}

// TestHandoverLeavesSocketOptionsAlone: the old process closes its descriptor, and does not change
// the socket, which is the new one's.
func TestHandoverLeavesSocketOptionsAlone(t *testing.T) {
	loaded := make(chan int, 1)
	h := engine.Handover{Path: handoverPath(t), Load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		loaded <- engine.Descriptor(c)
		return loadMover(c, state)
	}}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		if err := c.SetLinger(time.Minute); err != nil {
			t.Error(err)
		}
		return newMover(c)
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	l, err := unix.GetsockoptLinger(receive(t, "descriptor", loaded), syscall.SOL_SOCKET, syscall.SO_LINGER)
	if err != nil || l.Onoff == 0 || l.Linger != 60 {
		t.Errorf("SO_LINGER is %+v, %v, want 60 s", l, err)
	}
}
