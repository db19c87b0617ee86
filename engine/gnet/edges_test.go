package gnet_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/gnet"
)

// TestDialWhoseOnOpenPanics: Dial waited for ever.
func TestDialWhoseOnOpenPanics(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
		t.Run(addr[:3], func(t *testing.T) {
			s := frameworks[1].serve(t, &handler{}, []string{addr})
			closed := make(chan error, 1)
			cl, err := gnet.NewClient(gnet.Adapt(&handler{
				open: func(gnet.Conn) ([]byte, gnet.Action) { panic("by OnOpen") },
				closed: func(_ gnet.Conn, err error) gnet.Action {
					closed <- err
					return gnet.None
				},
			}))
			if err != nil {
				t.Fatal(err)
			}
			cl.Start()
			defer cl.Stop()
			dialed := make(chan error, 1)
			go func() {
				_, err := cl.Dial(addr[:3], s.addr().String())
				dialed <- err
			}()
			if err, _ := receive(t, dialed); err == nil {
				t.Error("Dial returned no error")
			}
			if err, _ := receive(t, closed); err == nil {
				t.Error("OnClose got no error")
			}
		})
	}
}

// TestDialWhoseOnOpenAndOnClosePanic: with UDP, Dial waited for ever.
func TestDialWhoseOnOpenAndOnClosePanic(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
		t.Run(addr[:3], func(t *testing.T) {
			s := frameworks[1].serve(t, &handler{}, []string{addr})
			cl, err := gnet.NewClient(gnet.Adapt(&handler{
				open:   func(gnet.Conn) ([]byte, gnet.Action) { panic("by OnOpen") },
				closed: func(gnet.Conn, error) gnet.Action { panic("by OnClose") },
			}))
			if err != nil {
				t.Fatal(err)
			}
			cl.Start()
			defer cl.Stop()
			dialed := make(chan error, 1)
			go func() {
				_, err := cl.Dial(addr[:3], s.addr().String())
				dialed <- err
			}()
			if err, _ := receive(t, dialed); err == nil {
				t.Error("Dial returned no error")
			}
		})
	}
}

// TestDupInOnBoot: with datagrams, Dup waited for a loop that did not run yet.
func TestDupInOnBoot(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		for _, addr := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
			for _, loops := range []int{1, 2} {
				type result struct {
					fd  int
					err error
				}
				duplicated, ended := make(chan result, 1), make(chan error, 1)
				var e running
				go func() {
					ended <- f.run(&handler{}, func(booted running) {
						e = booted
						fd, err := booted.Dup()
						duplicated <- result{fd, err}
					}, []string{addr}, gnet.WithNumEventLoop(loops))
				}()
				d, _ := receive(t, duplicated)
				if d.err != nil {
					t.Fatal(d.err)
				}
				sa, err := syscall.Getsockname(d.fd)
				if v4, ok := sa.(*syscall.SockaddrInet4); err != nil || !ok || v4.Port == 0 {
					t.Errorf("%s: the copy has the address %v, %v", addr, sa, err)
				}
				syscall.Close(d.fd)
				go e.Stop(t.Context())
				if err, _ := receive(t, ended); err != nil {
					t.Error(err)
				}
				if _, err := e.Dup(); err == nil {
					t.Error("Dup after the end")
				}
			}
		}
	})
}

// TestShutdownInOnBoot: the Engine did not know that it had ended, so that Stop waited for ever.
func TestShutdownInOnBoot(t *testing.T) {
	t.Parallel()
	h := &refuser{}
	if err := gnet.Run(h, "tcp://127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if h.engine.Validate() == nil || h.engine.CountConnections() != -1 {
		t.Error("the engine is valid")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.engine.Stop(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop returned %v", err)
	}
	if _, err := h.engine.Register(gnet.NewNetAddrContext(t.Context(), &net.TCPAddr{})); err == nil {
		t.Error("Register returned no error")
	}
}

type refuser struct {
	gnet.BuiltinEventEngine
	engine gnet.Engine
}

func (h *refuser) OnBoot(e gnet.Engine) gnet.Action {
	h.engine = e
	return gnet.Shutdown
}

// TestDeadlineThatIsRemoved: SetDeadline left that of writing.
func TestDeadlineThatIsRemoved(t *testing.T) {
	t.Parallel()
	opened, closed := make(chan gnet.Conn, 1), make(chan gnet.Conn, 2)
	s := frameworks[1].serve(t, &handler{
		open: func(c gnet.Conn) ([]byte, gnet.Action) {
			opened <- c
			return nil, gnet.None
		},
		closed: func(c gnet.Conn, err error) gnet.Action {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				closed <- c
			}
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"}, gnet.WithSocketSendBuffer(1<<12))
	s.dial()
	first, _ := receive(t, opened)
	first.SetWriteDeadline(time.Now().Add(time.Millisecond))
	first.SetDeadline(time.Time{})
	first.AsyncWrite([]byte(large), nil) // more than the kernel takes
	s.dial()
	second, _ := receive(t, opened)
	second.AsyncWrite([]byte(large), nil)
	second.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if c, _ := receive(t, closed); c != second {
		t.Error("a deadline that was removed has closed the connection")
	}
}

// TestDatagramsOnAllAddresses serves both kinds of IP by one address.
func TestDatagramsOnAllAddresses(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		s := f.serve(t, &handler{traffic: echo}, []string{"udp://:0"})
		port := s.addr().(*net.UDPAddr).Port
		for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
			p := dial(t, &net.UDPAddr{IP: ip, Port: port})
			p.send("to " + ip.String())
			p.expect("to " + ip.String())
		}
	})
}

// TestPanicInADatagram costs that datagram.
func TestPanicInADatagram(t *testing.T) {
	t.Parallel()
	s := frameworks[1].serve(t, &handler{traffic: func(c gnet.Conn) gnet.Action {
		if b, _ := c.Peek(-1); string(b) == "!" {
			panic("by OnTraffic")
		}
		return echo(c)
	}}, []string{"udp://127.0.0.1:0"})
	p := s.dial()
	p.send("!")
	p.send("still here")
	p.expect("still here")
}

// TestPanicInOnClose costs one connection, which is not counted any more.
func TestPanicInOnClose(t *testing.T) {
	t.Parallel()
	s := frameworks[1].serve(t, &handler{
		traffic: echo,
		closed:  func(gnet.Conn, error) gnet.Action { panic("by OnClose") },
	}, []string{"tcp://127.0.0.1:0"})
	p := s.dial()
	p.send("a")
	p.expect("a")
	p.Close()
	until(t, "no connection", func() bool { return s.CountConnections() == 0 })
	p = s.dial()
	p.send("b")
	p.expect("b")
}

// TestShutdownByEachCallback ends the engine, and closes the other connections with nil.
func TestShutdownByEachCallback(t *testing.T) {
	shutdown := func(gnet.Conn) gnet.Action { return gnet.Shutdown }
	tests := []struct {
		name string
		end  handler
		play func(p *peer)
	}{
		{name: "OnOpen", play: func(*peer) {}},
		{name: "OnTraffic", end: handler{traffic: shutdown}, play: func(p *peer) { p.send("!") }},
		{name: "OnClose", end: handler{closed: func(gnet.Conn, error) gnet.Action { return gnet.Shutdown }},
			play: func(p *peer) { p.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			both(t, func(t *testing.T, f framework) {
				h := tt.end
				var conns, others, shutdowns atomic.Int32
				opened := make(chan bool, 2)
				h.open = func(c gnet.Conn) ([]byte, gnet.Action) {
					second := conns.Add(1) == 2
					c.SetContext(second)
					opened <- true
					if second && tt.name == "OnOpen" {
						return nil, gnet.Shutdown
					}
					return nil, gnet.None
				}
				closed := h.closed
				h.closed = func(c gnet.Conn, err error) gnet.Action {
					if c.Context() == false {
						if others.Add(1); err != nil {
							t.Errorf("the other connection is closed by %v", err)
						}
					} else if closed != nil {
						return closed(c, err)
					}
					return gnet.None
				}
				h.shutdown = func() { shutdowns.Add(1) }
				s := f.serve(t, &h, []string{"tcp://127.0.0.1:0"})
				first := s.dial()
				receive(t, opened)
				p := s.dial()
				receive(t, opened)
				tt.play(p)
				first.expectEnd("")
				first.Close()
				p.Close()
				s.awaitEnd()
				if others.Load() != 1 || shutdowns.Load() != 1 {
					t.Errorf("OnClose was called %d times and OnShutdown %d times", others.Load(), shutdowns.Load())
				}
			})
		})
	}
}

// TestCallsWhileConnectionsEnd calls what any goroutine may call, while peers come and go.
func TestCallsWhileConnectionsEnd(t *testing.T) {
	t.Parallel()
	var conns sync.Map
	var calls, back atomic.Int64
	s := frameworks[1].serve(t, &handler{
		open: func(c gnet.Conn) ([]byte, gnet.Action) {
			conns.Store(c, true)
			return []byte("hello"), gnet.None
		},
		traffic: func(c gnet.Conn) gnet.Action {
			c.Discard(1)
			return gnet.None
		},
		closed: func(c gnet.Conn, _ error) gnet.Action {
			conns.Delete(c)
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"}, gnet.WithNumEventLoop(2))
	addr := s.addr()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	called := func(gnet.Conn, error) error {
		back.Add(1)
		return nil
	}
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				conns.Range(func(k, _ any) bool {
					c := k.(gnet.Conn)
					for _, err := range []error{
						c.AsyncWrite([]byte("a"), called), c.AsyncWritev([][]byte{[]byte("b")}, called), c.Wake(called),
						c.CloseWithCallback(called),
					} {
						if err == nil {
							calls.Add(1)
						}
					}
					c.AsyncWrite([]byte("c"), nil)
					c.SetDeadline(time.Now().Add(time.Minute))
					c.SetNoDelay(true)
					c.Fd()
					return true
				})
			}
		})
	}
	for range 100 {
		p := dial(t, addr)
		p.Write([]byte("some input"))
		p.Close()
	}
	until(t, "no connection", func() bool { return s.CountConnections() == 0 })
	cancel()
	all.Wait()
	until(t, "every callback", func() bool { return calls.Load() == back.Load() })
}

// TestPanicByAnErrorThatPanics: the reason of a connection that such a panic has closed was asked
// for what it is. Then OnClose was not called, and the connection stayed counted.
func TestPanicByAnErrorThatPanics(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	s := frameworks[1].serve(t, &handler{
		traffic: func(gnet.Conn) gnet.Action { panic((*net.OpError)(nil)) }, // whose Unwrap panics
		closed: func(_ gnet.Conn, err error) gnet.Action {
			closed <- err
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"})
	p := s.dial()
	p.send("!")
	if err, _ := receive(t, closed); err == nil {
		t.Error("closed without an error")
	}
	p.Close()
	until(t, "no connection", func() bool { return s.CountConnections() == 0 })
}
