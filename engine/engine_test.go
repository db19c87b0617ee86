package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

const patience = 10 * time.Second // how long a test waits for what must happen

// proto is a Protocol made of functions.
type proto struct {
	feed   func([]byte) (int, error)
	closed func(error)
}

func (p *proto) Feed(b []byte) (int, error) { return p.feed(b) }
func (p *proto) Closed(err error) {
	if p.closed != nil {
		p.closed(err)
	}
}

func echoOn(c *engine.Conn) *proto {
	return &proto{feed: func(b []byte) (int, error) {
		c.Write(b)
		return len(b), nil
	}}
}

// server runs an engine until the test ends.
type server struct {
	*engine.Engine
	ln  *engine.Listener
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t testing.TB, c engine.Config, accept func(*engine.Conn) engine.Protocol) *server {
	t.Helper()
	s := &server{log: &lockedBuffer{}}
	c.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	eng, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Engine = eng
	if s.ln, err = eng.Listen("tcp", "127.0.0.1:0", accept); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func (s *server) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.ln.String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func ask(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	if string(b) != text {
		t.Fatalf("sent %q, got %q", text, b)
	}
}

func TestEchoOnEveryNetwork(t *testing.T) {
	for _, network := range []string{"tcp", "tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			eng, err := engine.New(engine.Config{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			address := map[string]string{"tcp": ":0", "tcp4": "127.0.0.1:0", "tcp6": "[::1]:0",
				"unix": filepath.Join(t.TempDir(), "s")}[network]
			local := make(chan string, 10)
			ln, err := eng.Listen(network, address, func(c *engine.Conn) engine.Protocol {
				local <- c.LocalAddr().String() + " " + c.RemoteAddr().String()
				return echoOn(c)
			})
			if err != nil {
				t.Fatal(err)
			}
			go eng.Run(context.Background())
			to := ln.String()
			if network == "tcp" {
				to = net.JoinHostPort("127.0.0.1", strings.TrimPrefix(to, "[::]:"))
			}
			for range 5 {
				c, err := net.Dial(network, to)
				if err != nil {
					t.Fatal(err)
				}
				ask(t, c, "hello")
				want := c.RemoteAddr().String() + " " + c.LocalAddr().String()
				if network == "unix" {
					want = "invalid AddrPort invalid AddrPort"
				}
				if got := receive(t, "connection", local); got != want {
					t.Errorf("addresses are %s, want %s", got, want)
				}
				c.Close()
			}
		})
	}
}

func TestConnectionsAreBalancedOverLoops(t *testing.T) {
	loops := make(chan int, 100)
	s := serve(t, engine.Config{Loops: 4}, func(c *engine.Conn) engine.Protocol {
		loops <- c.Loop()
		return echoOn(c)
	})
	count := make([]int, 4)
	for range 40 {
		ask(t, s.dial(t), "x")
		count[receive(t, "connection", loops)]++
	}
	for i, n := range count {
		if n != 10 {
			t.Errorf("loop %d has %d of 40 connections: %v", i, n, count)
		}
	}
}

// TestAddressInUseOnRestart: connections that the old process closed are in TIME_WAIT.
func TestAddressInUseOnRestart(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	c := s.dial(t)
	ask(t, c, "x")
	address := s.ln.String()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Listen("tcp", address, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Listen("tcp", address, nil); err == nil {
		t.Fatal("two listeners share an address silently")
	}
}

// TestUnixSocketFile: a file that a dead process left is taken over, one in use is not, and ours goes with the listener.
func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Listen("unix", path, nil); err == nil {
		t.Fatal("a socket in use was taken over")
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	if _, err := eng.Listen("unix", path, nil); err != nil {
		t.Fatal(err)
	}
	eng.Close()
	if _, err := net.Dial("unix", path); err == nil || !errors.Is(err, errNotExist) {
		t.Fatalf("the file is left behind: %v", err)
	}
}

// TestLargeWriteThenCloseIsWhole: Close after a large Write must not truncate it.
func TestLargeWriteThenCloseIsWhole(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(big)
			c.Write([]byte("end"))
			c.Close()
			if _, err := c.Write([]byte("more")); !errors.Is(err, engine.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
			return len(b), nil
		}, closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	io.WriteString(c, "go and some input that is never read again")
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, append(big[:len(big):len(big)], "end"...)) {
		t.Fatalf("%d bytes arrived of %d", len(got), len(big)+3)
	}
	c.Close()
	if err := receive(t, "Closed", reasons); err != nil {
		t.Fatalf("reason %v, want none", err)
	}
}

// TestHalfCloseKeepsReply: a peer that sends, half-closes and then reads slowly gets the whole reply.
func TestHalfCloseKeepsReply(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	c := s.dial(t)
	const total = 8 << 20
	go func() {
		c.Write(bytes.Repeat([]byte("x"), total))
		c.CloseWrite()
	}()
	n, b := 0, make([]byte, 3000)
	for {
		k, err := c.Read(b)
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if n != total {
		t.Fatalf("%d bytes came back of %d", n, total)
	}
}

// TestWritevIsWhole: nothing is dropped when the kernel takes a part.
func TestWritevIsWhole(t *testing.T) {
	head, body := bytes.Repeat([]byte("h"), 50_000), bytes.Repeat([]byte("b"), 5_000_000)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if n, err := c.Writev(head, body); n != len(head)+len(body) || err != nil {
				t.Errorf("Writev: %d, %v", n, err)
			}
			c.Writev([]byte("t"), nil, []byte("ail"))
			c.Close()
			return len(b), nil
		}}
	})
	c := s.dial(t)
	io.WriteString(c, "go")
	got, err := io.ReadAll(c)
	want := append(append(bytes.Clone(head), body...), "tail"...)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestCloseInAccept: closing a connection before it has begun.
func TestCloseInAccept(t *testing.T) {
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.Write([]byte("sorry"))
		c.Close()
		return &proto{feed: func([]byte) (int, error) { panic("fed after Close") }, closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	if got, err := io.ReadAll(c); string(got) != "sorry" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	c.Close()
	if err := receive(t, "Closed", reasons); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptWithoutProtocolRefuses(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return nil })
	c, err := net.Dial("tcp", s.ln.String())
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		if _, err = c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection lives")
		}
	}
}

// TestPanicHurtsOneConnection: in every call that a user's code gets.
func TestPanicHurtsOneConnection(t *testing.T) {
	boom := errors.New("boom")
	for _, place := range []string{"accept", "Feed", "Posted", "AfterFunc", "Post", "Closed"} {
		t.Run(place, func(t *testing.T) {
			reasons := make(chan error, 1)
			var victim atomic.Bool
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				if victim.Swap(false) {
					if place == "accept" {
						panic(boom)
					}
					return &victimProto{conn: c, place: place, boom: boom, reasons: reasons}
				}
				return echoOn(c)
			})
			bystander := s.dial(t)
			ask(t, bystander, "before")
			victim.Store(true)
			c := s.dial(t)
			io.WriteString(c, "x")
			io.Copy(io.Discard, c) // until it is closed
			c.Close()
			if place != "accept" && place != "Closed" {
				var p *engine.PanicError
				if err := receive(t, "reason", reasons); !errors.As(err, &p) || !errors.Is(err, boom) || len(p.Stack) == 0 {
					t.Fatalf("reason %v", err)
				}
			}
			ask(t, bystander, "after")
			ask(t, s.dial(t), "a new one")
			eventually(t, "log of the panic", func() bool { return strings.Contains(s.log.String(), "boom") })
		})
	}
}

type victimProto struct {
	conn    *engine.Conn
	place   string
	boom    error
	reasons chan error
}

func (v *victimProto) Feed(b []byte) (int, error) {
	switch v.place {
	case "Feed":
		panic(v.boom)
	case "Posted":
		v.conn.Handle().PostBytes(7, []byte("x"))
	case "AfterFunc":
		v.conn.AfterFunc(time.Millisecond, func() { panic(v.boom) })
	case "Post":
		v.conn.Handle().Post(func(*engine.Conn) { panic(v.boom) })
	case "Closed":
		v.conn.Close()
	}
	return len(b), nil
}

func (v *victimProto) Posted(tag uint32, b []byte) {
	if tag == 7 && string(b) == "x" {
		panic(v.boom)
	}
}

func (v *victimProto) Closed(err error) {
	if v.place == "Closed" {
		panic(v.boom)
	}
	v.reasons <- err
}

// TestGoexitInHandlerKeepsLoop: t.FailNow in a callback, say, ends its goroutine.
func TestGoexitInHandlerKeepsLoop(t *testing.T) {
	var first atomic.Bool
	first.Store(true)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		if first.Swap(false) {
			runtime.Goexit()
		}
		return echoOn(c)
	})
	io.Copy(io.Discard, s.dial(t))
	ask(t, s.dial(t), "alive")
}

func TestSlowReaderIsNotReadFrom(t *testing.T) {
	var queued atomic.Int64
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(b)
			queued.Store(max(queued.Load(), int64(c.Outbound())))
			return len(b), nil
		}}
	})
	c := s.dial(t)
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	sent := 0
	for b := make([]byte, 1<<20); ; { // until nobody takes it any more
		n, err := c.Write(b)
		sent += n
		if err != nil {
			break
		}
	}
	if q := queued.Load(); q > 1<<20 {
		t.Errorf("%d bytes queued for a peer that does not read", q)
	}
	c.CloseWrite()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c); int(n) != sent || err != nil {
		t.Fatalf("%d bytes came back of %d: %v", n, sent, err)
	}
}
