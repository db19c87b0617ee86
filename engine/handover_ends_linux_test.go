package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// TestCloseCountsFrozenConnections: a connection that was on its way when Close was called, and
// came back, was cut like any other.
func TestCloseCountsFrozenConnections(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	pos := uint64(0)
	talk(t, dialTo(t, g.ln.String()), &pos, 1)
	taker := takeSilently(t, h.Path, 0)
	batch := receive(t, "batch", taker.got)
	go g.Close()
	receive(t, "end of the taker", taker.over)
	batch.Acknowledge(protocol.Set{})
	err := receive(t, "end of Run", g.ran)
	if !errors.Is(err, engine.ErrClosed) || !strings.Contains(err.Error(), "cut 1 ") {
		t.Errorf("Run: %v, want that 1 connection was cut", err)
	}
}

// told counts the calls of Shutdown.
type told struct {
	mover
	times *atomic.Int32
}

func (o *told) Shutdown() { o.times.Add(1) }

// TestFrozenConnectionIsToldOnce: of Shutdown, whether that comes to it before it is thawed or
// behind.
func TestFrozenConnectionIsToldOnce(t *testing.T) {
	const movable, all = 50, 400 // the others are told first, more than in one turn
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	var times atomic.Int32
	n := 0
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		n++
		o := &told{mover{c: c}, &times}
		if n > movable {
			o.save = func() error { return errors.New("stays") }
		}
		return o
	})
	g.run()
	conns := make([]net.Conn, all)
	for i := range conns {
		pos := uint64(0)
		conns[i] = dialTo(t, g.ln.String())
		talk(t, conns[i], &pos, 1)
	}
	taker := takeSilently(t, h.Path, 0)
	batch := receive(t, "batch", taker.got)
	held, hold := make(chan bool), make(chan bool)
	g.Post(0, func() {
		close(held)
		<-hold
	})
	<-held
	before := g.Posted(0)
	go g.Shutdown(context.Background())
	taker.end(t, []*protocol.Incoming{batch})
	eventually(t, "shutdown and the end of the handover, in one turn", func() bool {
		return g.Posted(0) >= before+3*engine.PostCost
	})
	close(hold)
	eventually(t, "farewells", func() bool { return times.Load() >= all })
	for range 20 { // turns
		stats(t, g.Engine)
	}
	if n := times.Load(); n != all {
		t.Errorf("Shutdown was called %d times for %d connections", n, all)
	}
}

// TestSaveThatWritesAndFails: what it has written goes out, and so does what is written later.
func TestSaveThatWritesAndFails(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: time.Minute}
	handles, saves := make(chan engine.Handle, 1), make(chan bool, 1)
	first := true
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		if first { // is waited for, so that the handover does not end
			first = false
			return &mover{c: c, save: func() error { return unmovable("not yet") }}
		}
		handles <- c.Handle()
		return &mover{c: c, save: func() error {
			c.Write([]byte("x"))
			saves <- true
			return unmovable("protocol") // which is not tried again
		}}
	})
	g.run()
	waited := uint64(0)
	talk(t, dialTo(t, g.ln.String()), &waited, 1)
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	taker := takeSilently(t, h.Path, 0)
	receive(t, "call of Save", saves)
	b := make([]byte, 2)
	if _, err := io.ReadFull(nc, b[:1]); err != nil {
		t.Error(err)
	}
	receive(t, "connection", handles).Send([]byte("y"))
	if _, err := io.ReadFull(nc, b[1:]); err != nil || string(b) != "xy" {
		t.Errorf("%q, %v", b, err)
	}
	taker.end(t, nil)
}
