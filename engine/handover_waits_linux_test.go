package engine_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// frozenConn is a connection that is on its way to a process that does not answer.
type frozenConn struct {
	*generation
	conn  *engine.Conn
	nc    net.Conn
	taker *silentTaker
	batch *protocol.Incoming
}

func freezeOne(t *testing.T, c engine.Config, p func(*engine.Conn) engine.Protocol) *frozenConn {
	t.Helper()
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	conns := make(chan *engine.Conn, 1)
	c.Loops = 1
	f := &frozenConn{generation: begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		conns <- c
		return p(c)
	})}
	f.run()
	f.nc = dialTo(t, f.ln.String())
	pos := uint64(0)
	talk(t, f.nc, &pos, 1)
	f.taker = takeSilently(t, h.Path, 0)
	f.batch = receive(t, "batch", f.taker.got)
	f.conn = receive(t, "connection", conns)
	return f
}

// do calls a function on the loop.
func (f *frozenConn) do(t *testing.T, do func()) {
	t.Helper()
	done := make(chan bool)
	f.Post(0, func() {
		do()
		close(done)
	})
	receive(t, "call", done)
}

func (f *frozenConn) thaw(t *testing.T) {
	t.Helper()
	f.taker.end(t, []*protocol.Incoming{f.batch})
}

// TestFrozenConnectionKeepsTimeouts: one that was set while it was frozen runs when it is thawed.
func TestFrozenConnectionKeepsTimeouts(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*engine.Conn)
		want error
	}{
		{"SetTimeout", func(c *engine.Conn) { c.SetTimeout(time.Millisecond) }, engine.ErrTimeout},
		{"SetIdleTimeout", func(c *engine.Conn) { c.SetIdleTimeout(time.Millisecond) }, engine.ErrIdleTimeout},
		{"SetReplyTimeout", func(c *engine.Conn) { c.SetReplyTimeout(time.Millisecond) }, engine.ErrTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			f := freezeOne(t, engine.Config{}, func(c *engine.Conn) engine.Protocol {
				return &mover{c: c, closed: func(err error) { reasons <- err }}
			})
			f.do(t, func() { test.set(f.conn) })
			f.thaw(t)
			if _, err := io.ReadAll(f.nc); err != nil {
				t.Error(err)
			}
			f.nc.Close()
			if err := receive(t, "timeout", reasons); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// TestFrozenConnectionChangesProtocol: the new one is told of the peer's FIN.
func TestFrozenConnectionChangesProtocol(t *testing.T) {
	heard := make(chan bool, 2)
	half := func(c *engine.Conn) engine.Protocol { return &halfMover{mover{c: c}, heard} }
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	conns := make(chan *engine.Conn, 1)
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		conns <- c
		return half(c)
	})
	g.run()
	dialTo(t, g.ln.String()).(*net.TCPConn).CloseWrite()
	receive(t, "FIN", heard)
	taker := takeSilently(t, h.Path, 0)
	f := &frozenConn{generation: g, conn: <-conns, taker: taker, batch: receive(t, "batch", taker.got)}
	f.do(t, func() { f.conn.SetProtocol(half(f.conn)) })
	f.thaw(t)
	receive(t, "FIN, by the new Protocol", heard)
}

// halfMover goes on after the peer's FIN.
type halfMover struct {
	mover
	heard chan bool
}

func (h *halfMover) ReadClosed() { h.heard <- true }

// TestFrozenConnectionIsBounded: what waits for a connection while the new process does not answer
// is limited, as always.
func TestFrozenConnectionIsBounded(t *testing.T) {
	const limit = 1 << 20
	c := engine.Config{MaxOutbound: limit, MaxPosted: limit}
	reasons := make(chan error, 1)
	f := freezeOne(t, c, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, closed: func(err error) { reasons <- err }}
	})
	piece := make([]byte, limit/4)
	f.do(t, func() {
		for range 20 {
			f.conn.Write(piece)
		}
		if n := f.conn.Outbound(); n > 2*limit {
			t.Errorf("%d bytes are queued, want at most twice MaxOutbound", n)
		}
		if _, err := f.conn.Write(piece); !errors.Is(err, engine.ErrOutboundLimit) {
			t.Errorf("Write: %v", err)
		}
	})
	handle := f.conn.Handle()
	ways := map[string]func() error{
		"Send": func() error { return handle.Send(piece) },
		"Broadcast": func() error {
			return engine.Broadcast(slices.Values([]engine.Handle{handle}), piece, engine.SlowWait)
		},
	}
	for name, send := range ways {
		n := 0
		for ; n < 100; n++ {
			if err := send(); err != nil {
				if !errors.Is(err, engine.ErrBusy) {
					t.Error(err)
				}
				break
			}
			f.do(t, func() {}) // the loop has looked at it
		}
		if n > 2*limit/len(piece) {
			t.Errorf("%s: %d pieces were taken", name, n)
		}
	}
	f.thaw(t)
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrOutboundLimit) {
		t.Errorf("closed with %v", err)
	}
	eventually(t, "end of what waits", func() bool { return f.Posted(0) == 0 })
}

// TestThawedTasksKeepTheirOrder: what a goroutine has sent before an Each comes before what that
// writes, also if a panic has interrupted the Each.
func TestThawedTasksKeepTheirOrder(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	var all []*engine.Conn
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		m := &mover{c: c}
		if all = append(all, c); len(all) > 1 {
			m.save = func() error { return errors.New("stays") }
		}
		return m
	})
	g.run()
	conns := [...]net.Conn{dialTo(t, g.ln.String()), dialTo(t, g.ln.String())}
	for _, nc := range conns {
		pos := uint64(0)
		talk(t, nc, &pos, 1)
	}
	taker := takeSilently(t, h.Path, 0)
	batch := receive(t, "batch", taker.got)
	held, hold := make(chan bool), make(chan bool)
	g.Post(0, func() {
		close(held)
		<-hold
	})
	<-held
	first, second := all[0].Handle(), all[1].Handle()
	first.Send([]byte("1"))
	before := g.Posted(0)
	taker.end(t, []*protocol.Incoming{batch})
	eventually(t, "end of the handover", func() bool { return g.Posted(0) >= before+2*engine.PostCost })
	engine.Each(slices.Values([]engine.Handle{first, second}), func(c *engine.Conn) {
		if c == all[1] {
			panic("for the second one, before the first has had its turn")
		}
		c.Write([]byte("2"))
	})
	close(hold)
	b := make([]byte, 2)
	if _, err := io.ReadFull(conns[0], b); err != nil || string(b) != "12" {
		t.Errorf("%q, %v, want 12", b, err)
	}
}

// TestHandoverWithShortTimeout: an old process that waits for what cannot move yet is not taken for
// dead.
func TestHandoverWithShortTimeout(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Timeout: 400 * time.Millisecond}
	c := engine.Config{Loops: 1}
	begun := time.Now()
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, save: func() error {
			if time.Since(begun) < 900*time.Millisecond {
				return unmovable("not yet")
			}
			return nil
		}}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 1)
}
