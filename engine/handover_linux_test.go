package engine_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestHandoverMovesConnections: connections in the middle of their input and output go on in the
// next process, ten times in a row.
func TestHandoverMovesConnections(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 2}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	const clients = 300
	conns, pos := make([]net.Conn, clients), make([]uint64, clients)
	for i := range conns {
		conns[i] = dialTo(t, g.ln.String())
		talk(t, conns[i], &pos[i], 1+i%5)
	}
	for round := range 10 {
		for i := range conns { // a part of a unit waits at the server
			conns[i].Write([]byte("abcdefg")[:i%moverUnit])
		}
		g = g.handOver(t, h, c, engine.ListenConfig{}, newMover)
		if s := g.Handover(); s.Moved != clients || !s.Inherited {
			t.Fatalf("round %d: %+v", round, s)
		}
		for i := range conns {
			rest := "abcdefg"[i%moverUnit:]
			if i%moverUnit == 0 {
				talk(t, conns[i], &pos[i], 1)
				continue
			}
			conns[i].Write([]byte(rest))
			readChanged(t, conns[i], &pos[i], []byte("abcdefg"))
		}
	}
	if s := stats(t, g.Engine); s.Connections != clients || s.Accepted != clients {
		t.Errorf("%d connections, %d accepted, want %d", s.Connections, s.Accepted, clients)
	}
}

// TestHandoverMovesUnsentBytes: a peer that does not read gets what was queued for it from the next
// process, in order, and that one learns when it is gone.
func TestHandoverMovesUnsentBytes(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB: more than the kernel takes
	h := engine.Handover{Path: handoverPath(t)}
	var next atomic.Pointer[flushing]
	h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		f := &flushing{mover: mover{c: c}, outbound: c.Outbound(), pressure: c.Pressure()}
		next.Store(f)
		return f, nil
	}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.Write([]byte(big))
		return &mover{c: c}
	})
	g.run()
	nc := dialTo(t, g.ln.String())
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	got := make([]byte, len(big)-1)
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != big[1:] {
		t.Fatalf("the rest is not what was written: %v", err)
	}
	f := next.Load()
	if f.outbound == 0 || f.pressure != engine.OverHighWater {
		t.Errorf("%d bytes waited, pressure %v", f.outbound, f.pressure)
	}
	eventually(t, "Drained and Flushed", func() bool { return f.drained.Load() && f.flushed.Load() })
	pos := uint64(0)
	talk(t, nc, &pos, 10)
}

// flushing notes that what waited is gone.
type flushing struct {
	mover
	outbound         int
	pressure         engine.Pressure
	drained, flushed atomic.Bool
}

func (f *flushing) Drained() { f.drained.Store(true) }
func (f *flushing) Flushed() { f.flushed.Store(true) }

// TestHandoverEndsOldHandles: those who hold the old connection are told, by Closed and by every
// method of the Handle, and statistics count it.
func TestHandoverEndsOldHandles(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	reasons, handles := make(chan error, 1), make(chan engine.Handle, 1)
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return &mover{c: c, closed: func(err error) { reasons <- err }}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	handle := <-handles
	next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrHandedOver) {
		t.Errorf("reason: %v", err)
	}
	for name, err := range map[string]error{
		"Send":      handle.Send([]byte("x")),
		"Post":      handle.Post(func(*engine.Conn) { t.Error("called") }),
		"PostBytes": handle.PostBytes(0, []byte("x")),
		"Close":     handle.Close(),
	} {
		if err != engine.ErrHandedOver || !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := stats(t, g.Engine)
	if s.Closed[engine.CauseHandover] != 1 || s.Connections != 0 {
		t.Errorf("closed %v, %d connections", s.Closed, s.Connections)
	}
	if got := g.Handover(); got.Moved != 1 || got.Total != 1 || got.Stage != engine.HandoverDone || got.Inherited {
		t.Errorf("progress %+v", got)
	}
	talk(t, nc, &pos, 3)
	if n := stats(t, next.Engine).Connections; n != 1 { // it has answered
		t.Errorf("%d connections in the new process", n)
	}
}

// TestHandoverKeepsSettings: what the engine itself knows of a connection is there when its
// Protocol is loaded, and holds afterwards.
func TestHandoverKeepsSettings(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t)}
	type seen struct {
		reading bool
		half    error
		from    string
	}
	loaded := make(chan seen, 1)
	h.Load = func(c *engine.Conn, _ []byte) (engine.Protocol, error) {
		_, err := c.Write([]byte("y"))
		loaded <- seen{c.Reading(), err, c.RemoteAddr().String()}
		return &mover{c: c}, nil
	}
	c := engine.Config{Loops: 1}
	began := make(chan bool, 1)
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.PauseRead()
		c.Write([]byte("x"))
		c.CloseWrite()
		c.SetTimeout(time.Hour)
		began <- true
		return &mover{c: c}
	})
	g.run()
	nc := dialTo(t, g.ln.String())
	receive(t, "connection", began)
	next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	s := receive(t, "Load", loaded)
	if s.reading || !errors.Is(s.half, engine.ErrWriteClosed) || s.from != nc.LocalAddr().String() {
		t.Errorf("%+v", s)
	}
	if b, err := io.ReadAll(nc); string(b) != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if n := stats(t, next.Engine).Timers; n != 1 {
		t.Errorf("%d timers, want that of SetTimeout", n)
	}
}

// TestHandoverKeepsTimeouts: the time that has passed counts.
func TestHandoverKeepsTimeouts(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*engine.Conn)
		want error
	}{
		{"SetTimeout", func(c *engine.Conn) { c.SetTimeout(300 * time.Millisecond) }, engine.ErrTimeout},
		{"SetIdleTimeout", func(c *engine.Conn) { c.SetIdleTimeout(300 * time.Millisecond) }, engine.ErrIdleTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			h := engine.Handover{Path: handoverPath(t), Load: func(c *engine.Conn, _ []byte) (engine.Protocol, error) {
				return &mover{c: c, closed: func(err error) { reasons <- err }}, nil
			}}
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				test.set(c)
				return &mover{c: c, closed: func(err error) {
					if !errors.Is(err, engine.ErrHandedOver) {
						t.Error(err)
					}
				}}
			})
			g.run()
			pos := uint64(0)
			talk(t, dialTo(t, g.ln.String()), &pos, 1)
			g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			if err := receive(t, "timeout", reasons); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// TestHandoverCountsPerListener: limits of the listener count the connections that have moved.
func TestHandoverCountsPerListener(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c, lc := engine.Config{Loops: 2}, engine.ListenConfig{MaxPerAddress: 3}
	g := begin(t, h, c, lc, newMover)
	g.run()
	var pos [3]uint64
	conns := []net.Conn{dialTo(t, g.ln.String()), dialTo(t, g.ln.String()), dialTo(t, g.ln.String())}
	for i, nc := range conns {
		talk(t, nc, &pos[i], 1)
	}
	g = g.handOver(t, h, c, lc, newMover)
	eventually(t, "count of 3", func() bool { return g.ln.Counted() == 3 })
	refused(t, dialTo(t, g.ln.String()))
	for i, nc := range conns {
		talk(t, nc, &pos[i], 1)
		nc.Close()
	}
	eventually(t, "free place", func() bool { return g.ln.Counted() == 0 })
}

// TestHandoverKeepsProxyHeaders: the client behind a proxy is known in the next process too.
func TestHandoverKeepsProxyHeaders(t *testing.T) {
	from := make(chan string, 1)
	h := engine.Handover{Path: handoverPath(t), Load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		from <- c.RemoteAddr().String() + " by " + c.ProxyAddr().Addr().String()
		return loadMover(c, state)
	}}
	c := engine.Config{Loops: 1}
	lc := trusting(engine.ProxyConfig{})
	lc.MaxPerAddress = 1
	g := begin(t, h, c, lc, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	io.WriteString(nc, header4("192.0.2.7", 4711))
	talk(t, nc, &pos, 2)
	g = g.handOver(t, h, c, lc, newMover)
	if got := receive(t, "Load", from); got != "192.0.2.7:4711 by 127.0.0.1" {
		t.Errorf("from %s", got)
	}
	talk(t, nc, &pos, 2)
	if n := g.ln.Counted(); n != 1 {
		t.Errorf("%d connections are counted, want 1", n)
	}
}

// TestHandoverLeavesWhatCannotMove: it is shut down in order, and counted by its reason; the others
// move.
func TestHandoverLeavesWhatCannotMove(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: 50 * time.Millisecond}
	c := engine.Config{Loops: 1}
	ends := make(chan error, 4)
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(b[:1])
			m := &mover{c: c, closed: func(err error) { ends <- err }}
			switch b[0] {
			case 'p': // stays what it is
				return 1, nil
			case 't':
				c.AfterFunc(time.Hour, func() {})
			case 'l':
				c.AfterFunc(time.Hour, func() {}).LeaveBehind()
			case 's':
				m.save = func() error { return errors.New("not now") }
			case 'u':
				m.save = func() error { return unmovable("a reason") }
			}
			c.SetProtocol(m)
			return 1, nil
		}}
	})
	g.run()
	conns := make(map[byte]net.Conn)
	for _, kind := range []byte("ptlsu") {
		conns[kind] = dialTo(t, g.ln.String())
		ask(t, conns[kind], string(kind))
	}
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	for _, kind := range []byte("ptsu") {
		if b, err := io.ReadAll(conns[kind]); err != nil || len(b) > 0 {
			t.Errorf("%c: %q, %v; want the end", kind, b, err)
		}
	}
	pos := uint64(0)
	talk(t, conns['l'], &pos, 1)
	want := map[string]int{"protocol": 1, "timer": 1, "save": 1, "a reason": 1}
	if got := g.Handover().Stayed; !maps.Equal(got, want) {
		t.Errorf("stayed: %v, want %v", got, want)
	}
	handedOver := 0
	for range 4 {
		switch err := receive(t, "reason", ends); {
		case errors.Is(err, engine.ErrHandedOver):
			handedOver++
		case !errors.Is(err, engine.ErrShutdown):
			t.Error(err)
		}
	}
	if handedOver != 1 {
		t.Errorf("%d were handed over, want 1", handedOver)
	}
}

type unmovable string

func (u unmovable) Error() string     { return "cannot move: " + string(u) }
func (u unmovable) Unmovable() string { return string(u) }

// TestHandoverWaitsForTimers: a connection whose timer fires within the patience moves.
func TestHandoverWaitsForTimers(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: patience}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(200*time.Millisecond, func() { c.Write([]byte("!")) })
		return &mover{c: c}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	eventually(t, "accepted connection", func() bool { return stats(t, g.Engine).Connections == 1 })
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	talk(t, nc, &pos, 1)
}

// TestHandoverLeavesOthersTheirTurn: a loop that looks at many connections, none of which can move,
// does other things in between. It called Save of all of them in one turn, again and again.
func TestHandoverLeavesOthersTheirTurn(t *testing.T) {
	const clients = 600
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: time.Millisecond}
	c := engine.Config{Loops: 1}
	var g *generation
	saves, between := 0, make(chan int, 1) // saves is the loop's
	save := func() error {
		if saves++; saves == 1 {
			g.Post(0, func() { between <- saves })
		}
		return errors.New("not now")
	}
	g = begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, save: save}
	})
	g.run()
	for range clients {
		dialTo(t, g.ln.String())
	}
	eventually(t, "connections", func() bool { return stats(t, g.Engine).Connections == clients })
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if n := receive(t, "task", between); n >= clients {
		t.Errorf("%d calls of Save before the loop did anything else", n)
	}
	if n := g.Engine.Handover().Stayed["save"]; n != clients {
		t.Errorf("%d connections stayed, want %d", n, clients)
	}
}

// TestHandoverDoesNotWaitForLookUps: a name that is being looked up keeps nobody for longer than
// the patience. The handover did not end before all dials had.
func TestHandoverDoesNotWaitForLookUps(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: time.Millisecond}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	looking, dialled := make(chan bool, 1), make(chan error, 1)
	dial := engine.DialConfig{Timeout: time.Hour}
	dial.LookupNetIP = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		looking <- true
		<-ctx.Done()
		return nil, ctx.Err()
	}
	err := g.Dial(t.Context(), "tcp", "a.test:1", dial, func(_ *engine.Conn, err error) engine.Protocol {
		dialled <- err
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "look-up", looking)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if err := receive(t, "end of Dial", dialled); !errors.Is(err, engine.ErrShutdown) {
		t.Errorf("Dial: %v", err)
	}
	talk(t, nc, &pos, 1)
}

// TestHandoverSurvivesPanics: a panic in Save or Load costs that connection only.
func TestHandoverSurvivesPanics(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		switch p, err := loadMover(c, state); p.(*mover).pos / moverUnit {
		case 2:
			panic("Load")
		case 3:
			return nil, errors.New("no")
		default:
			return p, err
		}
	}}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		m := &mover{c: c}
		m.save = func() error {
			if m.pos == moverUnit {
				panic("Save")
			}
			return nil
		}
		return m
	})
	g.run()
	conns, pos := make([]net.Conn, 400), make([]uint64, 400)
	for i := range conns {
		conns[i] = dialTo(t, g.ln.String())
		talk(t, conns[i], &pos[i], 1+i%5)
	}
	next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	for i, nc := range conns {
		if i%5 < 3 {
			if _, err := io.ReadAll(nc); err != nil && i%5 == 0 {
				t.Errorf("connection %d: %v, want an end in order", i, err)
			}
			continue
		}
		talk(t, nc, &pos[i], 2)
	}
	if s := stats(t, g.Engine); s.Panics != 80 || s.Closed[engine.CausePanic] != 80 {
		t.Errorf("the old process counts %d panics, closed %v", s.Panics, s.Closed)
	}
	// A client may hear of the end of its connection before the loop has counted it.
	eventually(t, "count of the connections that the new process has refused", func() bool {
		s := stats(t, next.Engine)
		return s.Panics == 80 && s.Connections == 160 && s.Closed[engine.CauseRefused] == 80
	})
}

// TestHandoverToAnotherVersion: a process that cannot read the states gets the listeners only, and
// the connections end in order.
func TestHandoverToAnotherVersion(t *testing.T) {
	for _, test := range []struct {
		name string
		next engine.Handover
	}{
		{"version", engine.Handover{Load: loadMover, Version: 2}},
		{"no Load", engine.Handover{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover, Version: 1}
			test.next.Path = h.Path
			reasons := make(chan error, 1)
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				return &mover{c: c, closed: func(err error) { reasons <- err }}
			})
			g.run()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			g = g.handOver(t, test.next, c, engine.ListenConfig{}, newMover)
			if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrShutdown) {
				t.Error(err)
			}
			pos = 0
			talk(t, dialTo(t, g.ln.String()), &pos, 1)
		})
	}
}

// TestHandoverRefused: a process that inherits and then does not run changes nothing.
func TestHandoverRefused(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	for range 3 {
		eventually(t, "offer", func() bool {
			_, err := os.Stat(h.Path)
			return err == nil
		})
		next := begin(t, h, c, engine.ListenConfig{}, newMover)
		next.Close()
		g.waitFor(t, engine.HandoverFailed)
		talk(t, nc, &pos, 1)
		other := uint64(0)
		talk(t, dialTo(t, g.ln.String()), &other, 1)
	}
	if n := stats(t, g.Engine).Closed[engine.CauseHandover]; n != 0 {
		t.Errorf("%d were handed over", n)
	}
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 1)
}

// TestInheritWithoutOffer: the first process begins by itself.
func TestInheritWithoutOffer(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h := &engine.Handover{Path: handoverPath(t)}
	if found, err := h.Inherit(t.Context(), e); found || err != nil {
		t.Error(found, err)
	}
	if _, err := (&engine.Handover{}).Inherit(t.Context(), e); err == nil {
		t.Error("no Path, and no error")
	}
}

// TestOfferEndsWithTheEngine: also while it waits.
func TestOfferEndsWithTheEngine(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t)}
	g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	g.Shutdown(context.Background())
	err := receive(t, "end of Offer", g.offered)
	if !errors.Is(err, engine.ErrClosed) || errors.Is(err, engine.ErrHandedOver) {
		t.Errorf("Offer: %v", err)
	}
	if _, err := os.Stat(h.Path); err == nil {
		t.Error("the path is still there")
	}
}
