package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestListenBeforeInherit: the socket was closed when the old process had handed over.
func TestListenBeforeInherit(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	offering(t, h.Path)
	log := &lockedBuffer{}
	e, err := engine.New(engine.Config{Loops: 1, Logger: logTo(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	ln, err := e.Listen("tcp", "127.0.0.1:0", newMover)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Inherit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	go e.Run(context.Background())
	if err := receive(t, "end of Offer", g.offered); !errors.Is(err, engine.ErrHandedOver) {
		t.Fatal(err)
	}
	eventually(t, "end of the handover", func() bool { return e.Handover().Stage == engine.HandoverDone })
	pos := uint64(0)
	talk(t, dialTo(t, ln.String()), &pos, 1)
}

// silentHoard leaves everything unconsumed.
type silentHoard struct {
	mover
	held *atomic.Int64
}

func (h *silentHoard) Feed(b []byte) (int, error) {
	h.held.Store(int64(len(b)))
	return 0, nil
}

// TestSilentHoardsMove: a connection that has been silent for longer than the new process has run
// counted as one that had just sent something, so that others were closed when memory was short.
func TestSilentHoardsMove(t *testing.T) {
	const size = 300 << 10
	var held [3]atomic.Int64
	closed := make(chan int, 3)
	var next atomic.Int64
	accept := func(c *engine.Conn) engine.Protocol {
		n := int(next.Add(1)) - 1
		return &silentHoard{mover{c: c, pos: uint64(n), closed: func(err error) {
			if errors.Is(err, engine.ErrBufferLimit) {
				closed <- n
			}
		}}, &held[n]}
	}
	h := engine.Handover{Path: handoverPath(t), Load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		next.Store(int64(state[7]))
		return accept(c), nil
	}}
	config := engine.Config{Loops: 1, MaxBuffered: 1200 << 10}
	g := begin(t, h, config, engine.ListenConfig{}, accept)
	g.run()
	send := func(i, n int, to []chan []byte) { to[i] <- make([]byte, n) }
	var writers []chan []byte
	for i := range 2 {
		nc, w := dialTo(t, g.ln.String()), make(chan []byte)
		writers = append(writers, w)
		go func() {
			for b := range w {
				nc.Write(b)
			}
		}()
		defer close(w)
		send(i, size, writers)
		eventually(t, "hoard", func() bool { return held[i].Load() == size })
	}
	pass := func(d time.Duration) {
		begun := time.Now()
		eventually(t, "some ticks", func() bool { return time.Since(begun) > d })
	}
	pass(500 * time.Millisecond) // longer than the next engine runs until they arrive
	g = g.handOver(t, h, config, engine.ListenConfig{}, accept)
	eventually(t, "hoards in the new process", func() bool { return held[0].Load()+held[1].Load() == 2*size })
	send(1, 1, writers)
	eventually(t, "a byte more", func() bool { return held[1].Load() == size+1 })
	pass(50 * time.Millisecond)
	next.Store(2)
	nc := dialTo(t, g.ln.String())
	go nc.Write(make([]byte, 4*size))
	if n := receive(t, "end of a hoard", closed); n != 0 {
		t.Errorf("connection %d is closed first, want the one that is silent", n)
	}
}
