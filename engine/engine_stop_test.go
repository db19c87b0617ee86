package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

func TestShutdownTellsFlushesAndReturns(t *testing.T) {
	s, reasons := serveReasons(t, engine.Config{Loops: 2}, nil)
	var peers []*net.TCPConn
	for range 50 {
		c := s.dial(t)
		ask(t, c, "x")
		peers = append(peers, c)
	}
	for _, c := range peers {
		go func() { io.Copy(io.Discard, c); c.Close() }()
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range peers {
		if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrShutdown) {
			t.Fatal(err)
		}
	}
	if _, err := net.Dial("tcp", s.ln.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("still listening: %v", err)
	}
	if _, err := s.Listen("tcp", "127.0.0.1:0", echoes); !errors.Is(err, engine.ErrClosed) {
		t.Fatalf("Listen after Shutdown: %v", err)
	}
	if err := s.Post(0, func() {}); !errors.Is(err, engine.ErrClosed) {
		t.Fatalf("Post after Shutdown: %v", err)
	}
}

// TestShutdownResetsNobodyInTheBacklog: peers that the kernel connected and no loop has accepted
// yet get an orderly end too.
func TestShutdownResetsNobodyInTheBacklog(t *testing.T) {
	accepting, proceed := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() {
		close(accepting)
		<-proceed
	})
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		first()
		return echoOn(c)
	})
	peers := []*net.TCPConn{s.dial(t)}
	receive(t, "accept", accepting)
	for range 100 { // more than a loop accepts in one turn
		peers = append(peers, s.dial(t))
	}
	s.BeginShutdown()
	close(proceed)
	for i, c := range peers {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Fatalf("peer %d of %d: %q, %v", i, len(peers), b, err)
		}
		c.Close()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsAtDeadline(t *testing.T) {
	s, _ := serveReasons(t, engine.Config{Loops: 1, Linger: time.Hour}, nil)
	for range 3 {
		ask(t, s.dial(t), "x") // they stay, and never close
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut 3 connections") {
		t.Fatal(err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()
	cancel()
	if err := receive(t, "Run", done); err != nil {
		t.Fatal(err)
	}
	if err := eng.Run(ctx); !errors.Is(err, engine.ErrClosed) {
		t.Fatalf("a second Run: %v", err)
	}
}

// TestShutdownReturnsWhenALoopIsBlocked, and so does Run: they did not return for ever. The error
// tells which loop, and where it is.
func TestShutdownReturnsWhenALoopIsBlocked(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 2, ShutdownTimeout: 50 * time.Millisecond, BlockedAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran, release := make(chan error, 1), make(chan struct{})
	go func() { ran <- eng.Run(ctx) }()
	blocked := make(chan bool, 1)
	eng.Post(1, func() { blocked <- true; blockHere(release) })
	receive(t, "blocked loop", blocked)
	cancel()
	for _, err := range []error{receive(t, "Run", ran), eng.Shutdown(ctx)} {
		e, ok := errors.AsType[*engine.BlockedError](err)
		if !ok || e.Loop != 1 || !strings.Contains(err.Error(), "loop 1 does not turn") ||
			!strings.Contains(err.Error(), "TestShutdownReturnsWhenALoopIsBlocked") {
			t.Errorf("error %v, want a BlockedError of loop 1 and the place", err)
		}
	}
	close(release)
	if err := eng.Close(); err != nil { // it waits for the loop
		t.Error(err)
	}
}

// TestShutdownReturnsBehindAFunctionOfOnShutdown that ignores its context.
func TestShutdownReturnsBehindAFunctionOfOnShutdown(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	running, release, ran := make(chan bool, 1), make(chan struct{}), make(chan error, 1)
	go func() { ran <- eng.Run(context.Background()) }()
	eng.Post(0, func() { running <- true })
	receive(t, "turn", running)
	eng.OnShutdown(func(context.Context) { <-release })
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	for what, err := range map[string]error{"Shutdown": eng.Shutdown(ctx), "Run": receive(t, "Run", ran)} {
		if err == nil || !strings.Contains(err.Error(), "1 functions of OnShutdown have not returned") {
			t.Errorf("%s: %v", what, err)
		}
		if what == "Shutdown" && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	close(release)
	if err := eng.Close(); err != nil {
		t.Errorf("Close, when nothing blocks any more: %v", err)
	}
}

// TestShutdownOnALoopIsRefused: it would wait for itself.
func TestShutdownOnALoopIsRefused(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, turnAway)
	for loop := range 2 {
		errs := make(chan error, 2)
		s.Post(loop, func() { errs <- s.Shutdown(context.Background()); errs <- s.Close() })
		for range 2 {
			if err := receive(t, "error", errs); err != engine.ErrOnLoop {
				t.Errorf("on loop %d: %v", loop, err)
			}
		}
	}
	if err := s.Post(0, func() {}); err != nil {
		t.Errorf("the engine has ended: %v", err)
	}
}
