package engine_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAddressIsFreeWhenCloseReturns: before Run, while the loops run, on another loop's turn, and
// in the accept function itself.
func TestAddressIsFreeWhenCloseReturns(t *testing.T) {
	again := func(t *testing.T, e *engine.Engine, ln *engine.Listener) *engine.Listener {
		t.Helper()
		if err := ln.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		next, err := e.Listen("tcp", ln.String(), echoes)
		if err != nil {
			t.Errorf("Listen after Close: %v", err)
			return nil
		}
		if err := ln.Close(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		return next
	}
	t.Run("running", func(t *testing.T) {
		s := serve(t, engine.Config{Loops: 2}, echoes)
		for range 200 {
			if s.ln = again(t, s.Engine, s.ln); s.ln == nil {
				return
			}
		}
		ask(t, s.dial(t), "hello")
	})
	t.Run("before Run", func(t *testing.T) {
		eng, err := engine.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close()
		ln, err := eng.Listen("tcp", "127.0.0.1:0", echoes)
		if err != nil {
			t.Fatal(err)
		}
		ln = again(t, eng, ln)
		ln.Close()
		if c, err := net.Dial("tcp", ln.String()); err == nil {
			c.Close()
			t.Error("a closed listener takes connections")
		}
		go eng.Run(context.Background())
		stats(t, eng)
	})
	t.Run("in accept", func(t *testing.T) {
		s := serve(t, engine.Config{Loops: 1}, echoes)
		closed := make(chan *engine.Listener, 1)
		var ln *engine.Listener
		set := make(chan bool)
		ln, err := s.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
			<-set
			closed <- again(t, s.Engine, ln)
			return echoOn(c)
		})
		close(set)
		if err != nil {
			t.Fatal(err)
		}
		s.ln = ln
		ask(t, s.dial(t), "the last of the old one")
		s.ln = receive(t, "listener", closed)
		ask(t, s.dial(t), "the first of the new one")
	})
}

// TestShutdownLeavesASharedBacklog: connections that wait in the backlog of a listener belong to
// whoever accepts next, if there may be somebody.
func TestShutdownLeavesASharedBacklog(t *testing.T) {
	for _, how := range []string{"Serve", "File"} {
		t.Run(how, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 1}, echoes)
			next := share(t, s, how)
			defer next.Close()
			busy, end := make(chan bool), make(chan bool)
			s.Post(0, func() {
				close(busy)
				<-end
			})
			<-busy
			for range 20 {
				s.dial(t)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Shutdown(context.Background()) }()
			// Not only begun: without its task the loop would go on accepting.
			eventually(t, "task of the shutdown", func() bool { return s.HasTasks(0) })
			close(end)
			if err := receive(t, "end", ended); err != nil {
				t.Fatal(err)
			}
			next.SetDeadline(time.Now().Add(patience))
			for i := range 20 {
				c, err := next.Accept()
				if err != nil {
					t.Fatalf("after %d of 20: %v", i, err)
				}
				c.Close()
			}
		})
	}
}

// share replaces the server's listener by one that the returned listener shares.
func share(t *testing.T, s *server, how string) *net.TCPListener {
	t.Helper()
	var next net.Listener
	if how == "Serve" {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := nl.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if next, err = net.FileListener(f); err != nil {
			t.Fatal(err)
		}
		if s.ln, err = (engine.ListenConfig{}).Serve(s.Engine, nl, echoes); err != nil {
			t.Fatal(err)
		}
		return next.(*net.TCPListener)
	}
	f, err := s.ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Fd() // makes the shared socket blocking, as os/exec does
	if next, err = net.FileListener(f); err != nil {
		t.Fatal(err)
	}
	return next.(*net.TCPListener)
}
