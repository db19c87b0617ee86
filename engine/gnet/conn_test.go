package gnet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/gnet"
)

// events is a list of what has happened, which any goroutine may add to.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.list, ", ")
}

func (e *events) expect(t *testing.T, want string) {
	t.Helper()
	end := time.Now().Add(patience)
	for e.String() != want {
		if time.Now().After(end) {
			t.Fatalf("got  %s\nwant %s", e, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// callback returns an AsyncCallback that adds an event.
func (e *events) callback(name string) gnet.AsyncCallback {
	return func(_ gnet.Conn, err error) error {
		e.add("%s %v", name, err)
		return nil
	}
}

// TestConnections runs handlers whose events must be the same in both frameworks.
func TestConnections(t *testing.T) {
	tests := []struct {
		name    string
		handler func(e *events) *handler
		// play does what the peer does, on a connection that the server has as c.
		play func(t *testing.T, p *peer, c gnet.Conn, e *events)
		want string
	}{
		{
			name: "OnOpen closes",
			handler: func(e *events) *handler {
				return &handler{open: func(gnet.Conn) ([]byte, gnet.Action) { return []byte("bye"), gnet.Close }}
			},
			play: func(_ *testing.T, p *peer, _ gnet.Conn, _ *events) { p.expectEnd("bye") },
			want: "closed <nil>",
		},
		{
			name: "OnTraffic closes after it has written",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action { echo(c); return gnet.Close }}
			},
			play: func(_ *testing.T, p *peer, _ gnet.Conn, _ *events) {
				p.send("last words")
				p.expectEnd("last words")
			},
			want: "closed <nil>",
		},
		{
			name: "what OnTraffic leaves is there again with more behind it",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action {
					b, _ := c.Peek(-1)
					e.add("%s", b)
					if len(b) == 6 {
						c.Discard(4)
						c.Write([]byte("four"))
					} else {
						c.Write([]byte("ok"))
					}
					return gnet.None
				}}
			},
			play: func(_ *testing.T, p *peer, _ gnet.Conn, _ *events) {
				p.send("abc")
				p.expect("ok")
				p.send("def")
				p.expect("four")
				p.send("g")
				p.expect("ok")
			},
			want: "abc, abcdef, efg",
		},
		{
			name: "Wake calls OnTraffic with what is left, and then the callback",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action {
					e.add("traffic of %d", c.InboundBuffered())
					c.Discard(2)
					if c.InboundBuffered() > 0 {
						c.Wake(e.callback("woken"))
					}
					return gnet.None
				}}
			},
			play: func(t *testing.T, p *peer, c gnet.Conn, e *events) {
				p.send("12345")
				e.expect(t, "traffic of 5, traffic of 3, woken <nil>, traffic of 1, woken <nil>")
				c.Wake(e.callback("empty"))
			},
			want: "traffic of 5, traffic of 3, woken <nil>, traffic of 1, woken <nil>, traffic of 0, empty <nil>",
		},
		{
			name: "OnTraffic is called for each Wake",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action {
					e.add("traffic of %d", c.InboundBuffered())
					if c.InboundBuffered() == 5 {
						c.Wake(e.callback("first"))
						c.Wake(e.callback("second"))
					}
					c.Discard(1)
					return gnet.None
				}}
			},
			play: func(t *testing.T, p *peer, c gnet.Conn, e *events) { p.send("12345") },
			want: "traffic of 5, traffic of 4, first <nil>, traffic of 3, second <nil>",
		},
		{
			name: "OnTraffic that closes by its loop is not called again",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action {
					e.add("traffic of %d", c.InboundBuffered())
					c.Wake(e.callback("woken"))
					c.EventLoop().Close(c)
					return gnet.Close
				}}
			},
			play: func(t *testing.T, p *peer, c gnet.Conn, e *events) {
				p.send("12345")
				p.expectEnd("")
			},
			want: "traffic of 5, closed <nil>, woken <nil>",
		},
		{
			name:    "AsyncWrite calls back in order, and with an error when it is closed",
			handler: func(*events) *handler { return &handler{} },
			play: func(t *testing.T, p *peer, c gnet.Conn, e *events) {
				c.AsyncWrite([]byte("a"), e.callback("first"))
				c.AsyncWrite([]byte("b"), nil)
				c.AsyncWritev([][]byte{[]byte("c"), []byte("d")}, e.callback("second"))
				p.expect("abcd")
				c.CloseWithCallback(e.callback("closing"))
				e.expect(t, "first <nil>, second <nil>, closed <nil>, closing <nil>")
				c.AsyncWrite([]byte("e"), e.callback("third"))
				c.AsyncWritev([][]byte{[]byte("e")}, e.callback("fourth"))
				c.Close()
				p.expectEnd("")
			},
			want: "first <nil>, second <nil>, closed <nil>, closing <nil>, " +
				"third " + net.ErrClosed.Error() + ", fourth " + net.ErrClosed.Error(),
		},
		{
			name: "what OnClose writes arrives",
			handler: func(e *events) *handler {
				return &handler{closed: func(c gnet.Conn, _ error) gnet.Action {
					c.Write([]byte("farewell"))
					return gnet.None
				}}
			},
			play: func(_ *testing.T, p *peer, c gnet.Conn, _ *events) {
				p.Conn.(*net.TCPConn).CloseWrite()
				p.expectEnd("farewell")
			},
			want: "closed read: EOF",
		},
		{
			name: "reading in pieces",
			handler: func(e *events) *handler {
				return &handler{traffic: func(c gnet.Conn) gnet.Action {
					if c.InboundBuffered() < 10 {
						return gnet.None
					}
					var b [3]byte
					n, err := c.Read(b[:])
					e.add("Read %s %v", b[:n], err)
					next, err := c.Next(2)
					e.add("Next %s %v", next, err)
					_, err = c.Peek(6)
					e.add("Peek %v", err)
					n, err = c.Discard(1)
					e.add("Discard %d %v", n, err)
					var rest strings.Builder
					long, err := c.WriteTo(&rest)
					e.add("WriteTo %d %s %v", long, rest.String(), err)
					_, err = c.Read(b[:])
					e.add("Read %v", err)
					_, err = c.Next(1)
					e.add("Next %v", err)
					c.Write([]byte("!"))
					return gnet.None
				}}
			},
			play: func(_ *testing.T, p *peer, c gnet.Conn, _ *events) {
				p.send("0123456789")
				p.expect("!")
			},
			want: "Read 012 <nil>, Next 34 <nil>, Peek short buffer, Discard 1 <nil>, WriteTo 4 6789 <nil>, " +
				"Read short buffer, Next short buffer",
		},
		{
			name:    "functions run on the loop",
			handler: func(*events) *handler { return &handler{} },
			play: func(t *testing.T, p *peer, c gnet.Conn, e *events) {
				err := c.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
					c.SetContext("value")
					c.Write([]byte("from the loop"))
					return c.EventLoop().Close(c)
				}))
				if err != nil {
					t.Error(err)
				}
				p.expectEnd("from the loop")
			},
			want: "closed <nil>",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			both(t, func(t *testing.T, f framework) {
				var e events
				h := tt.handler(&e)
				opened := make(chan gnet.Conn, 1)
				open, closed := h.open, h.closed
				h.open = func(c gnet.Conn) ([]byte, gnet.Action) {
					opened <- c
					if open == nil {
						return nil, gnet.None
					}
					return open(c)
				}
				h.closed = func(c gnet.Conn, err error) gnet.Action {
					e.add("closed %v", err)
					if closed == nil {
						return gnet.None
					}
					return closed(c, err)
				}
				s := f.serve(t, h, []string{"tcp://127.0.0.1:0"})
				p := s.dial()
				c, _ := receive(t, opened)
				tt.play(t, p, c, &e)
				e.expect(t, tt.want)
			})
		})
	}
}

func TestSocketOptions(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		opened := make(chan gnet.Conn, 1)
		s := f.serve(t, &handler{open: func(c gnet.Conn) ([]byte, gnet.Action) {
			if err := c.SetLinger(3); err != nil { // on the loop; the rest is not
				t.Error(err)
			}
			opened <- c
			return nil, gnet.None
		}}, []string{"tcp://127.0.0.1:0"},
			gnet.WithTCPKeepAlive(40*time.Second), gnet.WithTCPKeepInterval(7*time.Second), gnet.WithTCPKeepCount(4),
			gnet.WithSocketRecvBuffer(50_000), gnet.WithSocketSendBuffer(60_000))
		s.dial()
		c, _ := receive(t, opened)
		fd, err := c.Dup()
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		get := func(level, name int) int {
			t.Helper()
			n, err := syscall.GetsockoptInt(fd, level, name)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		expect := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s is %d, want %d", what, got, want)
			}
		}
		expect("TCP_NODELAY", get(syscall.IPPROTO_TCP, syscall.TCP_NODELAY), 1)
		expect("SO_KEEPALIVE", get(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE), 1)
		expect("TCP_KEEPIDLE", get(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), 40)
		expect("TCP_KEEPINTVL", get(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL), 7)
		expect("TCP_KEEPCNT", get(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT), 4)
		expect("SO_RCVBUF", get(syscall.SOL_SOCKET, syscall.SO_RCVBUF), 100_000) // Linux doubles it
		expect("SO_SNDBUF", get(syscall.SOL_SOCKET, syscall.SO_SNDBUF), 120_000)
		if c.Fd() < 0 {
			t.Error("no descriptor")
		}
		err = errors.Join(c.SetNoDelay(false), c.SetReadBuffer(30_000), c.SetWriteBuffer(40_000),
			c.SetKeepAlivePeriod(20*time.Second))
		expect("TCP_NODELAY", get(syscall.IPPROTO_TCP, syscall.TCP_NODELAY), 0)
		expect("SO_RCVBUF", get(syscall.SOL_SOCKET, syscall.SO_RCVBUF), 60_000)
		expect("SO_SNDBUF", get(syscall.SOL_SOCKET, syscall.SO_SNDBUF), 80_000)
		expect("TCP_KEEPINTVL", get(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL), 4)
		if err = errors.Join(err, c.SetKeepAlive(true, 9*time.Second, 8*time.Second, 2)); err != nil {
			t.Error(err)
		}
		expect("TCP_KEEPIDLE", get(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), 9)
	})
}

func TestSeveralAddressesAndRegister(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		path := socketPath(t)
		got := make(chan string, 1)
		s := f.serve(t, &handler{traffic: func(c gnet.Conn) gnet.Action {
			b, _ := c.Next(-1)
			if v, ok := c.Context().(string); ok {
				got <- v + " " + string(b)
				return gnet.None
			}
			c.Write(append(b, c.LocalAddr().Network()...))
			return gnet.None
		}}, []string{"unix://" + path, "tcp://127.0.0.1:0"}, gnet.WithLoadBalancing(gnet.LeastConnections))
		p := dial(t, &net.UnixAddr{Name: path, Net: "unix"})
		p.send("by ")
		p.expect("by unix")
		fd, err := s.DupListener("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		sa, err := syscall.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		p = dial(t, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*syscall.SockaddrInet4).Port})
		p.send("by ")
		p.expect("by tcp")
		if _, err := s.Dup(); err == nil {
			t.Error("Dup of two listeners")
		}

		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ctx := gnet.NewContext(gnet.NewNetAddrContext(context.Background(), ln.Addr()), "registered")
		result, err := s.Register(ctx)
		if err != nil {
			t.Fatal(err)
		}
		far, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		if r, _ := receive(t, result); r.Err != nil {
			t.Fatal(r.Err)
		}
		far.Write([]byte("text"))
		if s, _ := receive(t, got); s != "registered text" {
			t.Errorf("got %q", s)
		}
	})
}

func TestDatagramsToOthers(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		other, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		other.SetDeadline(time.Now().Add(patience))
		s := f.serve(t, &handler{traffic: func(c gnet.Conn) gnet.Action {
			b, _ := c.Next(-1)
			if _, err := c.SendTo(b, other.LocalAddr()); err != nil {
				t.Error(err)
			}
			if _, err := c.Writev([][]byte{b}); err == nil {
				t.Error("Writev of a datagram")
			}
			c.AsyncWrite([]byte("forwarded"), nil)
			return gnet.None
		}}, []string{"udp://127.0.0.1:0"})
		p := s.dial()
		p.send("news")
		p.expect("forwarded")
		var b [100]byte
		n, _, err := other.ReadFrom(b[:])
		if err != nil || string(b[:n]) != "news" {
			t.Errorf("got %q, %v", b[:n], err)
		}
	})
}

// These differ from gnet, where deadlines are an error.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	f := frameworks[1]
	opened, closed := make(chan gnet.Conn, 1), make(chan error, 1)
	s := f.serve(t, &handler{
		open: func(c gnet.Conn) ([]byte, gnet.Action) {
			opened <- c
			return nil, gnet.None
		},
		closed: func(_ gnet.Conn, err error) gnet.Action {
			closed <- err
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"}, gnet.WithSocketSendBuffer(1<<12))
	expectTimeout := func() {
		t.Helper()
		if err, _ := receive(t, closed); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("closed by %v", err)
		}
	}

	p := s.dial()
	c, _ := receive(t, opened)
	c.SetReadDeadline(time.Now().Add(-time.Second))
	p.expectEnd("")
	expectTimeout()

	s.dial()
	c, _ = receive(t, opened)
	c.AsyncWrite([]byte(large), nil) // more than the kernel takes
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	expectTimeout()

	p = s.dial()
	c, _ = receive(t, opened)
	c.SetDeadline(time.Now().Add(time.Minute))
	c.SetDeadline(time.Time{})
	c.SetWriteDeadline(time.Now().Add(time.Minute))
	c.SetWriteDeadline(time.Time{})
	c.AsyncWrite([]byte("open"), nil)
	p.expect("open")
}

// In gnet a panic ends the process.
func TestPanicClosesOneConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	s := frameworks[1].serve(t, &handler{
		traffic: func(c gnet.Conn) gnet.Action {
			b, _ := c.Peek(1)
			switch string(b) {
			case "!":
				panic("by OnTraffic")
			case "?":
				c.Discard(1)
				c.AsyncWrite(nil, func(gnet.Conn, error) error { panic("by a callback") })
				return gnet.None
			}
			return echo(c)
		},
		closed: func(c gnet.Conn, err error) gnet.Action {
			if n := c.InboundBuffered(); n > 0 {
				t.Errorf("%d bytes of the input in OnClose", n)
			}
			closed <- err
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"})
	stays := s.dial()
	for _, text := range []string{"!", "?"} {
		p := s.dial()
		p.send(text)
		p.expectEnd("")
		p.Close()
		if err, _ := receive(t, closed); err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: closed by %v", text, err)
		}
	}
	stays.send("still here")
	stays.expect("still here")
}

func TestOptionsThatFail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, addr string
		options    []gnet.Option
	}{
		{name: "no such device", addr: "tcp://127.0.0.1:0", options: []gnet.Option{gnet.WithBindToDevice("nothing0")}},
		{name: "no such device for datagrams", addr: "udp://127.0.0.1:0",
			options: []gnet.Option{gnet.WithBindToDevice("nothing0")}},
		{name: "no such interface", addr: "udp://224.0.0.1:0",
			options: []gnet.Option{gnet.WithMulticastInterfaceIndex(1 << 20)}},
		{name: "no network", addr: "127.0.0.1:0"},
		{name: "unknown network", addr: "sctp://127.0.0.1:0"},
		{name: "no address", addr: "unix://"},
		{name: "a path behind a port", addr: "tcp://127.0.0.1:0/path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := gnet.Run(new(gnet.BuiltinEventEngine), tt.addr, tt.options...); err == nil {
				t.Error("no error")
			}
		})
	}
}

// shutter ends its engine as soon as it runs.
type shutter struct{ gnet.BuiltinEventEngine }

func (*shutter) OnTick() (time.Duration, gnet.Action) { return time.Hour, gnet.Shutdown }

func TestOptionsThatWork(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, addr string
		option     gnet.Option
	}{
		{name: "threads", addr: "tcp://127.0.0.1:0", option: gnet.WithLockOSThread(true)},
		{name: "loops", addr: "tcp://127.0.0.1:0", option: gnet.WithNumEventLoop(3)},
		{name: "a socket per loop", addr: "tcp://127.0.0.1:0", option: gnet.WithReusePort(true)},
		{name: "loop by address", addr: "tcp4://127.0.0.1:0", option: gnet.WithLoadBalancing(gnet.SourceAddrHash)},
		{name: "read buffer", addr: "tcp://127.0.0.1:0", option: gnet.WithReadBufferCap(1 << 12)},
		{name: "write buffer", addr: "tcp://127.0.0.1:0", option: gnet.WithWriteBufferCap(1 << 12)},
		{name: "edge-triggered", addr: "tcp://127.0.0.1:0", option: gnet.WithEdgeTriggeredIO(true)},
		{name: "Nagle", addr: "tcp://127.0.0.1:0", option: gnet.WithTCPNoDelay(gnet.TCPDelay)},
		{name: "multicast", addr: "udp://224.0.0.1:0", option: gnet.WithMulticastInterfaceIndex(1)},
		{name: "log file", addr: "tcp://127.0.0.1:0", option: gnet.WithLogger(quiet{})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := gnet.Run(new(shutter), tt.addr, gnet.WithTicker(true), tt.option); err != nil {
				t.Error(err)
			}
		})
	}
}

// What waits for a loop is refused on one, where it would wait for itself.
func TestCallsOnALoop(t *testing.T) {
	t.Parallel()
	results := make(chan error, 2)
	cl, err := gnet.NewClient(gnet.Adapt(&handler{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("Dial before Start")
	}
	if err := cl.Start(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := cl.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.EventLoop().Schedule(t.Context(), gnet.RunnableFunc(func(context.Context) error {
		_, err := cl.Dial("tcp", ln.Addr().String())
		results <- err
		return nil
	}), time.Millisecond)
	if err, _ := receive(t, results); !errors.Is(err, engine.ErrOnLoop) {
		t.Errorf("Dial on a loop: %v", err)
	}
	for range 2 {
		if err := cl.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close after Stop: %v", err)
	}
	if err := c.SetNoDelay(true); !errors.Is(err, net.ErrClosed) || c.Fd() >= 0 {
		t.Errorf("an option after Stop: %v", err)
	}
	if _, err := c.EventLoop().Register(t.Context(), ln.Addr()); err == nil {
		t.Error("Register after Stop")
	}
}

// TestDescriptorOnAnotherLoop: a callback that asks for the descriptor of a connection of another
// loop read what that loop may change at the same time. It cannot wait either: two loops might wait
// for each other.
func TestDescriptorOnAnotherLoop(t *testing.T) {
	t.Parallel()
	opened := make(chan gnet.Conn, 2)
	answers := make(chan error, 10)
	var other atomic.Value
	s := frameworks[1].serve(t, &handler{
		open: func(c gnet.Conn) ([]byte, gnet.Action) {
			opened <- c
			return nil, gnet.None
		},
		traffic: func(c gnet.Conn) gnet.Action {
			c.Discard(-1)
			o := other.Load().(gnet.Conn)
			fd, err := o.Dup()
			if fd >= 0 || o.Fd() >= 0 {
				err = errors.New("there is a descriptor")
			}
			answers <- err
			answers <- o.SetNoDelay(true)
			if c.Fd() < 0 {
				t.Error("its own descriptor is none")
			}
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"}, gnet.WithNumEventLoop(2), gnet.WithLoadBalancing(gnet.RoundRobin))
	p := s.dial()
	receive(t, opened)
	s.dial()
	c, _ := receive(t, opened)
	other.Store(c)
	p.send("x")
	for range 2 {
		if err, _ := receive(t, answers); !errors.Is(err, engine.ErrOnLoop) {
			t.Errorf("error %v", err)
		}
	}
	if c.Fd() < 0 {
		t.Error("no descriptor")
	}
}
