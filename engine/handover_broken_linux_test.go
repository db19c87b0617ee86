package engine_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// offering waits until somebody waits at the path.
func offering(t *testing.T, path string) {
	t.Helper()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// TestBatchWaitsForTheOneBefore: the new process acknowledges a batch only when the connections of
// the one before are served. Otherwise an old process that gives faster than this one takes would
// leave ever more connections waiting, which neither of the two serves.
func TestBatchWaitsForTheOneBefore(t *testing.T) {
	const batch, clients = 128, 300
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	var saves, loads atomic.Int32
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, save: func() error {
			saves.Add(1)
			return nil
		}}
	})
	g.run()
	for range clients {
		pos := uint64(0)
		talk(t, dialTo(t, g.ln.String()), &pos, 1)
	}
	offering(t, h.Path)
	var next atomic.Pointer[generation]
	until := func(holds func() bool) {
		for end := time.Now().Add(patience); !holds() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	arrived := func() int { return next.Load().Handover().Moved }
	var served int // of the batches that have landed and the one that does
	h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		if n := int(loads.Add(1)); n > served { // the first of a batch, which may be small
			until(func() bool { return arrived() >= n })
			if served = arrived(); served < n || served > n-1+batch {
				t.Errorf("%d are acknowledged when %d are served", served, n-1)
			}
			until(func() bool { return int(saves.Load()) > min(served, clients-1) })
			if got := int(saves.Load()); got <= min(served, clients-1) {
				t.Errorf("the old process does not send the next batch: %d are saved", got)
			}
			for end := time.Now().Add(100 * time.Millisecond); served < clients && time.Now().Before(end); {
				if moved := arrived(); moved > served {
					t.Errorf("%d are acknowledged when %d are served", moved, n-1)
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		return loadMover(c, state)
	}
	next.Store(begin(t, h, c, engine.ListenConfig{}, newMover))
	next.Load().run()
	next.Load().waitFor(t, engine.HandoverDone)
	eventually(t, "all connections", func() bool { return stats(t, next.Load().Engine).Connections == clients })
}

// breakHalfway begins two processes, of which each has connections, because the new one did not
// answer in time. end ends a process.
func breakHalfway(t *testing.T) (old, next *generation, conns []net.Conn, end map[*generation]func()) {
	t.Helper()
	const clients = 200
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Timeout: 200 * time.Millisecond}
	c := engine.Config{Loops: 1}
	end = make(map[*generation]func())
	run := func(g *generation) {
		ctx, stop := context.WithCancel(context.Background())
		go func() { g.ran <- g.Run(ctx) }()
		<-g.Started()
		go func() { g.offered <- g.h.Offer(ctx, g.Engine) }()
		end[g] = func() {
			t.Helper()
			stop()
			receive(t, "end of Offer", g.offered)
			receive(t, "end of Run", g.ran)
		}
	}
	old = begin(t, h, c, engine.ListenConfig{}, newMover)
	run(old)
	for range clients {
		nc, pos := dialTo(t, old.ln.String()), uint64(0)
		talk(t, nc, &pos, 1)
		conns = append(conns, nc)
	}
	offering(t, h.Path)
	hold := make(chan bool)
	h.Timeout = 0
	h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		<-hold
		return loadMover(c, state)
	}
	next = begin(t, h, c, engine.ListenConfig{}, newMover)
	run(next)
	old.waitFor(t, engine.HandoverFailed)
	next.waitFor(t, engine.HandoverFailed)
	close(hold)
	eventually(t, "connections in both", func() bool {
		a, b := stats(t, old.Engine).Connections, stats(t, next.Engine).Connections
		return a > 0 && b > 0 && a+b == clients
	})
	return old, next, conns, end
}

// TestPathStaysAfterABrokenHandover: both processes wait at it then. The end of one does not keep
// the next process from finding the other.
func TestPathStaysAfterABrokenHandover(t *testing.T) {
	for name, choose := range map[string]func(old, next *generation) (ends, stays *generation){
		"the old one ends": func(old, next *generation) (_, _ *generation) { return old, next },
		"the new one ends": func(old, next *generation) (_, _ *generation) { return next, old },
	} {
		t.Run(name, func(t *testing.T) {
			old, next, conns, end := breakHalfway(t)
			ends, stays := choose(old, next)
			for _, nc := range conns {
				nc.Close()
			}
			end[ends]()
			nc, pos := dialTo(t, old.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			eventually(t, "one connection", func() bool { return stats(t, stays.Engine).Connections == 1 })
			h := engine.Handover{Path: old.h.Path, Load: loadMover}
			third := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
			if third.ln.String() != old.ln.String() {
				t.Fatalf("the third process listens on %v, not on %v", third.ln, old.ln)
			}
			third.run()
			receive(t, "end of Run", stays.ran)
			talk(t, nc, &pos, 1)
		})
	}
}

// TestThirdProcessWaits: one that comes while the second has not begun to serve gets nothing of the
// first, and takes over from the second if it waits long enough.
func TestThirdProcessWaits(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	offering(t, h.Path)
	second := begin(t, h, c, engine.ListenConfig{}, newMover)
	short := h
	short.Timeout = 100 * time.Millisecond
	e, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if found, err := short.Inherit(t.Context(), e); found || err == nil {
		t.Errorf("one that does not wait: %t, %v; want an error", found, err)
	}
	talk(t, nc, &pos, 1)
	third := make(chan *generation, 1)
	go func() { third <- begin(t, h, c, engine.ListenConfig{}, newMover) }()
	second.run()
	if err := receive(t, "end of Offer", g.offered); !errors.Is(err, engine.ErrHandedOver) {
		t.Error(err)
	}
	receive(t, "third process", third).run()
	if err := receive(t, "end of the second Offer", second.offered); !errors.Is(err, engine.ErrHandedOver) {
		t.Error(err)
	}
	talk(t, nc, &pos, 1)
	if strings.Contains(second.log.String(), "failed") {
		t.Errorf("the second process takes the one that did not wait for a handover:\n%s", second.log)
	}
}

// TestPerLoopSocketsWaitForRun: those that a new process with more loops opens get no connection
// before it accepts: nobody would serve it, and it would be reset if the new process failed.
func TestPerLoopSocketsWaitForRun(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	lc := engine.ListenConfig{PerLoop: true}
	g := begin(t, h, engine.Config{Loops: 1}, lc, newMover)
	g.run()
	offering(t, h.Path)
	c := engine.Config{Loops: 4}
	next := begin(t, h, c, lc, newMover)
	const clients = 40
	var conns [clients]net.Conn
	var pos [clients]uint64
	for i := range conns {
		conns[i] = dialTo(t, g.ln.String())
		talk(t, conns[i], &pos[i], 1)
	}
	next.run()
	next.waitFor(t, engine.HandoverDone)
	receive(t, "end of the old process", g.ran)
	for i := range conns {
		talk(t, conns[i], &pos[i], 1)
		other := uint64(0)
		talk(t, dialTo(t, g.ln.String()), &other, 1)
	}
	for i, l := range stats(t, next.Engine).Loops {
		if l.Connections == 0 {
			t.Errorf("loop %d has no connection", i)
		}
	}
}

// TestSaveThatStartsATimer: its function cannot move, so the connection does not.
func TestSaveThatStartsATimer(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: -1}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		return &mover{c: c, save: func() error {
			c.AfterFunc(time.Hour, func() {})
			return nil
		}}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	offering(t, h.Path)
	begin(t, h, c, engine.ListenConfig{}, newMover).run()
	g.waitFor(t, engine.HandoverDone)
	nc.Close()
	if s := g.Handover(); s.Moved != 0 || s.Stayed["timer"] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestInheritAgain: a process that has inherited, and could not begin, tries again with the same
// Handover at once, and knows the listeners' numbers.
func TestInheritAgain(t *testing.T) {
	h := &engine.Handover{Path: handoverPath(t), Load: loadMover}
	c, lc := engine.Config{Loops: 1}, engine.ListenConfig{MaxConnections: 10}
	g := begin(t, *h, c, lc, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	offering(t, h.Path)
	for _, last := range []bool{false, true} {
		e, err := engine.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		if found, err := h.Inherit(t.Context(), e); !found || err != nil {
			t.Fatal(found, err)
		}
		ln, err := lc.Listen(e, "tcp", "127.0.0.1:0", newMover)
		if err != nil {
			t.Fatal(err)
		}
		if ln.String() != g.ln.String() {
			t.Fatalf("it listens on %v, not on %v", ln, g.ln)
		}
		if !last {
			e.Close()
			continue
		}
		go e.Run(context.Background())
		receive(t, "end of the old process", g.ran)
		talk(t, nc, &pos, 1)
		if n := ln.Counted(); n != 1 {
			t.Errorf("the listener counts %d connections, want 1", n)
		}
	}
}

// withoutDescriptors calls f while the process can open no more than n descriptors.
func withoutDescriptors(t *testing.T, n int, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	free, err := syscall.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(free)
	low := limit
	low.Cur = uint64(free + n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	f()
}

// TestOfferWaitsForDescriptors: a process that has no descriptor left when its successor comes does
// not stop offering.
func TestOfferWaitsForDescriptors(t *testing.T) {
	for free := 1; free <= 4; free++ { // for the socket here, accept, a copy, one end of a pipe
		h := engine.Handover{Path: handoverPath(t), Load: loadMover}
		c := engine.Config{Loops: 1}
		g := begin(t, h, c, engine.ListenConfig{}, newMover)
		g.run()
		nc, pos := dialTo(t, g.ln.String()), uint64(0)
		talk(t, nc, &pos, 1)
		offering(t, h.Path)
		withoutDescriptors(t, free, func() {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err == nil {
				err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: h.Path})
			}
			if err != nil {
				t.Error(err)
			}
			defer syscall.Close(fd)
			eventually(t, "attempt", func() bool { return g.log.String() != "" || len(g.offered) > 0 })
		})
		if len(g.offered) > 0 {
			t.Fatal(<-g.offered)
		}
		if log := g.log.String(); !strings.Contains(log, h.Path) {
			t.Errorf("the log does not have the Path:\n%s", log)
		}
		g.handOver(t, h, c, engine.ListenConfig{}, newMover)
		talk(t, nc, &pos, 1)
	}
}

// TestHandoverWithoutDescriptorsForListeners: a listener that cannot be copied is not left out.
func TestHandoverWithoutDescriptorsForListeners(t *testing.T) {
	g := begin(t, engine.Handover{Path: handoverPath(t)}, engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	withoutDescriptors(t, 0, func() {
		if n, err := g.CopyListeners(); n != 0 || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%d listeners, %v", n, err)
		}
	})
}

// TestOfferEndsBesideItsEngine: if the context of Offer ends and the engine goes on, the new
// process accepts too, whether it was ready or not. Nothing is lost, and each connection has one
// owner.
func TestOfferEndsBesideItsEngine(t *testing.T) {
	for _, ready := range []bool{false, true} {
		t.Run(map[bool]string{false: "before READY", true: "after READY"}[ready], func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: time.Hour}
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				return &mover{c: c, save: func() error { return errors.New("stays") }}
			})
			ctx, stop := context.WithCancel(t.Context())
			go g.Run(context.Background())
			<-g.Started()
			go func() { g.offered <- g.h.Offer(ctx, g.Engine) }()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			offering(t, h.Path)
			next := begin(t, h, c, engine.ListenConfig{}, newMover)
			if ready {
				next.run()
				g.waitFor(t, engine.HandoverMoving)
			}
			stop()
			if err := receive(t, "end of Offer", g.offered); err != context.Canceled {
				t.Errorf("Offer: %v", err)
			}
			if !ready {
				next.run()
			}
			next.waitFor(t, engine.HandoverFailed)
			talk(t, nc, &pos, 1)
			g.ln.Close() // or it would serve some of these
			for range 10 {
				other := uint64(0)
				talk(t, dialTo(t, next.ln.String()), &other, 1)
			}
			talk(t, nc, &pos, 1)
		})
	}
}
