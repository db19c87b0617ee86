package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// listenPerLoop makes an engine with a listener per loop. accept gets its connections.
func listenPerLoop(t *testing.T, loops int, accept func(*engine.Conn) engine.Protocol) *server {
	t.Helper()
	if !canSpread {
		t.Skip("this system does not spread connections over sockets")
	}
	s := serve(t, engine.Config{Loops: loops}, echoes)
	ln, err := perLoop.Listen(s.Engine, "tcp", "127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	return s
}

// TestListenerPerLoopKeepsWhatItAccepted: connections are where the kernel has put them. Those of
// loop 1 end at once, so the loop with the fewest connections would always be that one.
func TestListenerPerLoopKeepsWhatItAccepted(t *testing.T) {
	loops := make(chan int, 1)
	s := listenPerLoop(t, 2, func(c *engine.Conn) engine.Protocol {
		loops <- c.Loop()
		return echoOn(c)
	})
	kept, ended := 0, 0
	for range 100 {
		d := s.dial(t)
		ask(t, d, "x")
		if receive(t, "connection", loops) == 0 {
			kept++
			continue
		}
		ended++
		d.Close()
		eventually(t, "end", func() bool { return stats(t, s.Engine).Loops[1].Connections == 0 })
	}
	if kept < 20 || ended < 20 {
		t.Errorf("of 100 connections loop 0 got %d, loop 1 %d", kept, ended)
	}
}

// TestListenerPerLoopCloses: all of its sockets are closed when Close returns.
func TestListenerPerLoopCloses(t *testing.T) {
	s := listenPerLoop(t, 3, echoes)
	open := s.dial(t)
	ask(t, open, "hello")
	for range 50 {
		if err := s.ln.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.ln.Close(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		alone, err := s.Listen("tcp", s.ln.String(), echoes) // would not share the address
		if err != nil {
			t.Fatal(err)
		}
		alone.Close()
		if s.ln, err = perLoop.Listen(s.Engine, "tcp", s.ln.String(), echoes); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, open, "still open")
	ask(t, s.dial(t), "hello again")
}

// TestListenerPerLoopServesItsBacklogsAtTheEnd: peers that wait in any of the backlogs are
// dismissed in order, not reset.
func TestListenerPerLoopServesItsBacklogsAtTheEnd(t *testing.T) {
	s := listenPerLoop(t, 2, echoes)
	held, hold := make(chan bool), make(chan struct{})
	for i := range s.Loops() {
		s.Post(i, func() {
			held <- true
			<-hold
		})
		receive(t, "turn", held)
	}
	var peers []net.Conn
	for range 40 {
		peers = append(peers, s.dial(t))
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	close(hold)
	for i, p := range peers {
		if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("peer %d: %d bytes, %v", i, n, err)
		}
		p.Close()
	}
	if err := receive(t, "end", ended); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestListenerPerLoopSharesItsAddress with another engine that does the same, which is how a new
// process takes over, and with nobody else.
func TestListenerPerLoopSharesItsAddress(t *testing.T) {
	old := listenPerLoop(t, 2, echoes)
	next := listenPerLoop(t, 2, echoes)
	ask(t, old.dial(t), "hello") // Run has begun
	if _, err := old.Listen("tcp", old.ln.String(), echoes); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a listener without PerLoop: %v", err)
	}
	if _, err := perLoop.Listen(old.Engine, "tcp", serve(t, engine.Config{Loops: 1}, echoes).ln.String(),
		echoes); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("PerLoop on the address of a listener without: %v", err)
	}
	taken, err := perLoop.Listen(next.Engine, "tcp", old.ln.String(), echoes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := old.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	next.ln = taken
	for range 20 {
		ask(t, next.dial(t), "hello")
	}
}

// TestListenerPerLoopRefusesWhatItCannotDo, and says why.
func TestListenerPerLoopRefusesWhatItCannotDo(t *testing.T) {
	s := listenPerLoop(t, 2, echoes)
	for _, c := range []struct {
		listen           engine.ListenConfig
		network, address string
		want             string
	}{
		{engine.ListenConfig{PerLoop: true}, "unix", filepath.Join(t.TempDir(), "s"), "PerLoop is for TCP"},
		{engine.ListenConfig{PerLoop: true, FollowCPU: true}, "tcp", "127.0.0.1:0", "PerLoop excludes FollowCPU"},
		{engine.ListenConfig{PerLoop: true, PlaceByAddress: true}, "tcp", "127.0.0.1:0", "PerLoop excludes FollowCPU"},
	} {
		if _, err := c.listen.Listen(s.Engine, c.network, c.address, echoes); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.listen, err)
		}
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if _, err := perLoop.Serve(s.Engine, nl, echoes); err == nil || !strings.Contains(err.Error(), "PerLoop") {
		t.Errorf("Serve: %v", err)
	}
	nl.(*net.TCPListener).SetDeadline(time.Now())
	if _, err := nl.Accept(); errors.Is(err, net.ErrClosed) {
		t.Error("Serve has closed the listener and returned an error")
	}
	if f, err := s.ln.File(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("File: %v, %v", f, err)
	}
}
