package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/myriadnet/myriad/engine"
)

// serveReasons is an echo server that tells why its connections ended; begin may set them up.
func serveReasons(t *testing.T, c engine.Config, begin func(*engine.Conn)) (*server, chan error) {
	reasons := make(chan error, 100)
	return serve(t, c, func(c *engine.Conn) engine.Protocol {
		if begin != nil {
			begin(c)
		}
		p := echoOn(c)
		p.closed = func(err error) { reasons <- err }
		return p
	}), reasons
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name  string
		begin func(*engine.Conn)
		do    func(*net.TCPConn)
		want  error
	}{
		{name: "peer closes", do: func(c *net.TCPConn) { c.Close() }, want: engine.ErrPeerClosed},
		{name: "peer resets", do: func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, want: engine.ErrReset},
		{name: "idle", begin: func(c *engine.Conn) { c.SetIdleTimeout(30 * time.Millisecond) },
			want: engine.ErrIdleTimeout},
		{name: "deadline", begin: func(c *engine.Conn) { c.SetTimeout(30 * time.Millisecond) },
			want: engine.ErrTimeout},
		{name: "abort", begin: func(c *engine.Conn) { c.AfterFunc(time.Millisecond, c.Abort) },
			want: engine.ErrAborted},
		{name: "close", begin: func(c *engine.Conn) { c.AfterFunc(time.Millisecond, c.Close) }},
		{name: "both close", begin: func(c *engine.Conn) { c.CloseWrite() },
			do:   func(c *net.TCPConn) { c.CloseWrite() },
			want: engine.ErrPeerClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, reasons := serveReasons(t, engine.Config{Loops: 1}, c.begin)
			peer := s.dial(t)
			if c.do != nil {
				c.do(peer)
			} else {
				io.Copy(io.Discard, peer)
				peer.Close()
			}
			if err := receive(t, "reason", reasons); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("reason %v, want %v", err, c.want)
			}
		})
	}
}

// TestResetHasErrno: ErrReset wraps the errno, ECONNRESET as well, and its text says it once.
func TestResetHasErrno(t *testing.T) {
	s, reasons := serveReasons(t, engine.Config{Loops: 1}, nil)
	peer := s.dial(t)
	peer.SetLinger(0)
	peer.Close()
	err := receive(t, "reason", reasons)
	if !errors.Is(err, engine.ErrReset) || !errors.Is(err, syscall.ECONNRESET) ||
		err.Error() != engine.ErrReset.Error() {
		t.Fatalf("reason %v, is ECONNRESET: %v", err, errors.Is(err, syscall.ECONNRESET))
	}
}

// TestLingerEnds: a peer that keeps its half open does not hold the connection for ever.
func TestLingerEnds(t *testing.T) {
	s, reasons := serveReasons(t, engine.Config{Loops: 1, Linger: 30 * time.Millisecond},
		func(c *engine.Conn) { c.Close() })
	s.dial(t)
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrLinger) {
		t.Fatal(err)
	}
}

// TestUnsentIsTold: what Write accepted and could not be sent is in the reason, and the peer sees a
// reset, not a clean EOF.
func TestUnsentIsTold(t *testing.T) {
	s, reasons := serveReasons(t, engine.Config{Loops: 1, Linger: 50 * time.Millisecond}, func(c *engine.Conn) {
		c.Write(make([]byte, 32<<20))
		c.Close()
	})
	peer := s.dial(t)
	var unsent *engine.UnsentError
	if err := receive(t, "reason", reasons); !errors.As(err, &unsent) || unsent.Bytes == 0 ||
		!errors.Is(err, engine.ErrLinger) {
		t.Fatalf("reason %v", err)
	}
	if _, err := io.Copy(io.Discard, peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the peer sees %v", err)
	}
}

func TestInboundLimit(t *testing.T) {
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1, MaxInbound: 10_000}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func([]byte) (int, error) { return 0, nil }, closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	go func() {
		for b := make([]byte, 1000); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	err := receive(t, "reason", reasons)
	if !errors.Is(err, engine.ErrInboundLimit) || !strings.Contains(err.Error(), "10000") {
		t.Fatal(err)
	}
}

func TestOutboundLimit(t *testing.T) {
	s, reasons := serveReasons(t, engine.Config{Loops: 1, MaxOutbound: 1 << 20}, func(c *engine.Conn) {
		c.Write(make([]byte, 16<<20)) // a single one may be larger
		if _, err := c.Write([]byte("x")); !errors.Is(err, engine.ErrOutboundLimit) ||
			!strings.Contains(err.Error(), "1048576") {
			t.Errorf("Write over the limit: %v", err)
		}
	})
	// or it was reset before it knew that it was connected
	if c, err := net.Dial("tcp", s.ln.String()); err == nil {
		defer c.Close()
	}
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrOutboundLimit) {
		t.Fatal(err)
	}
}

// TestSocketOptionsOfClosedConn must not reach a descriptor that somebody else has got.
func TestSocketOptionsOfClosedConn(t *testing.T) {
	conns := make(chan *engine.Conn, 1)
	s, reasons := serveReasons(t, engine.Config{Loops: 1}, func(c *engine.Conn) {
		for _, err := range []error{c.SetNoDelay(false), c.SetKeepAlive(time.Minute), c.SetReadBuffer(1 << 16),
			c.SetWriteBuffer(1 << 16), c.SetLinger(time.Second), c.SetLinger(-1)} {
			if err != nil {
				t.Error(err)
			}
		}
		conns <- c
	})
	s.dial(t).Close()
	c := receive(t, "connection", conns)
	receive(t, "reason", reasons)
	done := make(chan bool)
	s.Post(0, func() {
		defer close(done)
		for i, err := range []error{c.SetNoDelay(true), c.SetKeepAlive(0), c.SetReadBuffer(1), c.SetWriteBuffer(1),
			c.SetLinger(0)} {
			if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("option %d of a closed connection: %v", i, err)
			}
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if _, err := c.Writev([]byte("x"), make([]byte, 1<<16)); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Writev: %v", err)
		}
		c.Close()
		c.Abort()
		c.CloseWrite()
		c.PauseRead()
		c.ResumeRead()
		c.SetProtocol(echoOn(c))
		c.SetIdleTimeout(time.Second)
		c.SetTimeout(time.Second)
		if c.AfterFunc(0, func() { t.Error("a timer of a closed connection fired") }).Stop() {
			t.Error("it was set")
		}
		if c.RemoteAddr().IsValid() || c.LocalAddr().IsValid() || c.Outbound() != 0 {
			t.Error("a closed connection has addresses or bytes")
		}
	})
	receive(t, "post", done)
}

func TestIdlerKeepsConnection(t *testing.T) {
	idle := make(chan int, 10)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.SetIdleTimeout(20 * time.Millisecond)
		return &idler{proto: *echoOn(c), conn: c, idle: idle}
	})
	c := s.dial(t)
	for want := range 3 {
		if got := receive(t, "Idle", idle); got != want {
			t.Fatalf("Idle number %d, want %d", got, want)
		}
	}
	got, err := io.ReadAll(c) // the third answer was no
	if err != nil || string(got) != "0 1 2 " {
		t.Fatalf("Idle wrote %q, %v", got, err)
	}
}

type idler struct {
	proto
	conn *engine.Conn
	n    int
	idle chan int
}

func (i *idler) Idle() bool {
	fmt.Fprintf(i.conn, "%d ", i.n)
	i.idle <- i.n
	i.n++
	return i.n < 3
}

func TestTimersFireInOrderAndStop(t *testing.T) {
	fired := make(chan int, 10)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		begin := time.Now()
		for i, d := range []time.Duration{90, 30, 60} {
			c.AfterFunc(d*time.Millisecond, func() {
				if waited := time.Since(begin); waited < d*time.Millisecond {
					t.Errorf("timer of %vms fired after %v", int(d), waited)
				}
				fired <- i
			})
		}
		x := c.AfterFunc(45*time.Millisecond, func() { fired <- 99 })
		if !x.Stop() || x.Stop() {
			t.Error("Stop must work once")
		}
		return echoOn(c)
	})
	s.dial(t)
	for _, want := range []int{1, 2, 0} {
		if got := receive(t, "timer", fired); got != want {
			t.Fatalf("timer %d fired, want %d", got, want)
		}
	}
}

// TestSwapProtocolInFeed: what the first Protocol does not consume is the second one's, in the same
// delivery.
func TestSwapProtocolInFeed(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			i := strings.IndexByte(string(b), '\n')
			if i < 0 {
				return 0, nil
			}
			c.SetProtocol(echoOn(c))
			return i + 1, nil
		}, closed: func(error) { t.Error("the old Protocol was called") }}
	})
	c := s.dial(t)
	io.WriteString(c, "hel")
	io.WriteString(c, "lo\nworld")
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "world" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestFeedThatClaimsTooMuch(t *testing.T) {
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) { return len(b) + 1, nil },
			closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	io.WriteString(c, "x")
	go func() { io.Copy(io.Discard, c); c.Close() }()
	if err := receive(t, "reason", reasons); err == nil || !strings.Contains(err.Error(), "consumed 2 bytes of 1") {
		t.Fatal(err)
	}
}

func TestListenErrors(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	for _, c := range []struct{ network, address, text string }{
		{"udp", "127.0.0.1:0", "want tcp, tcp4, tcp6 or unix; ListenPacket serves udp"},
		{"tcp", "nonsense", "missing port"},
		{"tcp4", "[::1]:0", "no suitable address"},
		{"unix", "/no/such/folder/s", "bind"},
	} {
		if _, err := eng.Listen(c.network, c.address, echoes); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("Listen(%q, %q): %v, want %q", c.network, c.address, err, c.text)
		}
	}
	_, err = eng.ListenPacket("tcp", "127.0.0.1:0", echoPackets)
	if err == nil || !strings.Contains(err.Error(), "Listen serves tcp") {
		t.Errorf("ListenPacket: %v", err)
	}
}

// TestIdleConnectionOwnsNothing is the memory promise, without the operating system: heap per
// connection.
func TestIdleConnectionOwnsNothing(t *testing.T) {
	if n := unsafe.Sizeof(engine.Conn{}); n > 112 {
		t.Errorf("Conn is %d bytes, beyond its size class of 112", n)
	}
	const conns = 1000
	var open atomic.Int32
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		open.Add(1)
		return &small{c}
	})
	ask(t, s.dial(t), "warm")
	peers := make([]*net.TCPConn, conns)
	before := heap()
	for i := range peers {
		peers[i] = s.dial(t)
	}
	eventually(t, "connections", func() bool { return open.Load() == conns+1 })
	both := heap() - before
	for _, p := range peers {
		ask(t, p, "x") // they have been at work, and are idle again
	}
	worked := heap() - before
	runtime.KeepAlive(peers)
	if grown := int64(worked) - int64(both); grown > conns*16 {
		t.Errorf("%d bytes per connection stay after work", grown/conns)
	}
}

type small struct{ c *engine.Conn }

func (s *small) Feed(b []byte) (int, error) {
	s.c.Write(b)
	return len(b), nil
}
func (s *small) Closed(error) {}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
