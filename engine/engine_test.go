package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
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

func logTo(b *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func serve(t testing.TB, c engine.Config, accept func(*engine.Conn) engine.Protocol) *server {
	t.Helper()
	s := &server{log: &lockedBuffer{}}
	c.Logger = logTo(s.log)
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
		// or connections were cut, by Close or by the test
		if err := <-done; err != nil && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
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
	if _, err := eng.Listen("tcp", address, echoes); err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Listen("tcp", address, echoes); err == nil {
		t.Fatal("two listeners share an address silently")
	}
}

// TestUnixSocketFile: a file that a dead process left is taken over, one in use is not, and ours
// goes with the listener.
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
	if _, err := eng.Listen("unix", path, echoes); err == nil {
		t.Fatal("a socket in use was taken over")
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	if _, err := eng.Listen("unix", path, echoes); err != nil {
		t.Fatal(err)
	}
	eng.Close()
	if _, err := net.Dial("unix", path); err == nil || !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("the file is left behind: %v", err)
	}
}

// TestPostToALoopThatIsNotThere is an error, not a panic.
func TestPostToALoopThatIsNotThere(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	for _, loop := range []int{-1, 1, 7} {
		if err := s.Post(loop, func() { t.Errorf("called on loop %d", loop) }); err == nil ||
			!strings.Contains(err.Error(), "no loop") {
			t.Errorf("loop %d: %v", loop, err)
		}
	}
	called := make(chan bool, 1)
	if err := s.Post(0, func() { called <- true }); err != nil {
		t.Fatal(err)
	}
	receive(t, "call", called)
}

// TestLoopOfChoice: Dial and Adopt serve a connection on the loop that they are told.
func TestLoopOfChoice(t *testing.T) {
	const loops = 3
	s := serve(t, engine.Config{Loops: loops}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	got := make(chan int, 100)
	dial := func(loop *int) error {
		return s.Dial(t.Context(), "tcp", s.ln.String(), engine.DialConfig{Loop: loop},
			func(c *engine.Conn, err error) engine.Protocol {
				if err != nil {
					t.Error(err)
					got <- -1
					return nil
				}
				got <- c.Loop()
				return echoOn(c)
			})
	}
	adopt := func(loop *int) error {
		nc := s.dial(t)
		return engine.AdoptConfig{Loop: loop}.Adopt(s.Engine, nc, nil, func(c *engine.Conn) engine.Protocol {
			got <- c.Loop()
			return echoOn(c)
		})
	}
	for _, test := range []struct {
		name  string
		begin func(loop *int) error
	}{
		{name: "Dial", begin: dial},
		{name: "Adopt", begin: adopt},
	} {
		for _, loop := range []int{0, 2, 2, 2, 1, 1} {
			if err := test.begin(new(loop)); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			if on := receive(t, "connection", got); on != loop {
				t.Errorf("%s: on loop %d, want %d", test.name, on, loop)
			}
		}
		for _, loop := range []int{-1, loops} {
			if err := test.begin(new(loop)); err == nil {
				t.Errorf("%s: no error for loop %d", test.name, loop)
			}
		}
		if err := test.begin(nil); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		receive(t, "connection", got)
	}
}

// turnAway is for a server that nobody is to connect to.
func turnAway(*engine.Conn) engine.Protocol { return nil }
