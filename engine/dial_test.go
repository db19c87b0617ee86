package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// caller says hello when it is connected, and keeps what comes back.
type caller struct {
	c    *engine.Conn
	got  []byte
	want int
	done func(got []byte, err error)
}

func (p *caller) Feed(b []byte) (int, error) {
	p.got = append(p.got, b...)
	if len(p.got) >= p.want {
		p.c.Close()
	}
	return len(b), nil
}
func (p *caller) Closed(err error) { p.done(p.got, err) }

// call dials, says text and wants it back, and then an orderly end.
func call(e *engine.Engine, network, address string, config engine.DialConfig, text string) <-chan error {
	result := make(chan error, 2)
	err := e.Dial(context.Background(), network, address, config, func(c *engine.Conn, err error) engine.Protocol {
		if err != nil {
			result <- err
			return nil
		}
		c.Write([]byte(text))
		return &caller{c: c, want: len(text), done: func(got []byte, err error) {
			if err == nil && string(got) != text {
				err = fmt.Errorf("got %q", got)
			}
			result <- err
		}}
	})
	if err != nil {
		result <- err
	}
	return result
}

func TestDialOnEveryNetwork(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	path := filepath.Join(t.TempDir(), "s")
	if _, err := s.Listen("unix", path, func(c *engine.Conn) engine.Protocol { return &small{c} }); err != nil {
		t.Fatal(err)
	}
	port := s.ln.Addr().Port()
	for _, c := range []struct{ network, address string }{
		{"tcp", s.ln.String()}, {"tcp4", s.ln.String()}, {"tcp", fmt.Sprintf("localhost:%d", port)},
		{"tcp4", fmt.Sprintf("localhost:%d", port)}, {"unix", path},
	} {
		if err := receive(t, "end of the call", call(s.Engine, c.network, c.address, engine.DialConfig{},
			"hello")); err != nil {
			t.Errorf("%s %s: %v", c.network, c.address, err)
		}
	}
}

// TestDialToRefusedPortFails: nobody is told of a connection that never was.
func TestDialToRefusedPortFails(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	for network, address := range map[string]string{"tcp": address, "unix": filepath.Join(t.TempDir(), "nobody")} {
		err := receive(t, "refusal", call(s.Engine, network, address, engine.DialConfig{}, "hello"))
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) ||
			!strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestDialErrors(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	for _, c := range []struct{ name, network, address, text string }{
		{name: "network", network: "udp", address: "127.0.0.1:1", text: "unknown network"},
		{name: "no port", network: "tcp", address: "127.0.0.1", text: "missing port"},
		{name: "port", network: "tcp", address: "127.0.0.1:http", text: "port"},
		{name: "family", network: "tcp6", address: "127.0.0.1:1", text: "not an IPv6 address"},
		{name: "unknown host", network: "tcp", address: "no-such-host.invalid:1", text: "no-such-host.invalid"},
	} {
		if err := receive(t, "error", call(s.Engine, c.network, c.address, engine.DialConfig{Timeout: 2 * time.Second},
			"")); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", c.name, err, c.text)
		}
	}
}

func TestDialBindsLocalAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux answers on all of 127/8 unasked")
	}
	remote := make(chan netip.AddrPort, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		remote <- c.RemoteAddr()
		return &small{c}
	})
	local := netip.MustParseAddrPort("127.0.0.9:0")
	if err := receive(t, "end", call(s.Engine, "tcp", s.ln.String(), engine.DialConfig{LocalAddr: local},
		"hello")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "address", remote); got.Addr() != local.Addr() {
		t.Errorf("the peer is %v, want %v", got, local)
	}
}

// deafPort is a listener whose backlog is full: connecting to it neither succeeds nor fails.
func deafPort(t *testing.T) string { return deaf(t, "127.0.0.1:0") }

// deaf is deafPort on an address of IPv4.
func deaf(t *testing.T, address string) string {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}),
		syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, _ := syscall.Getsockname(fd)
	address = fmt.Sprintf("%v:%d", at.Addr(), sa.(*syscall.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the backlog never fills")
	return ""
}

func TestDialEndsWithItsContext(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	address := deafPort(t)
	err := receive(t, "timeout", call(s.Engine, "tcp", address, engine.DialConfig{Timeout: 50 * time.Millisecond}, ""))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	why := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 2)
	s.Dial(ctx, "tcp", address, engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
		result <- err
		return nil
	})
	cancel(why)
	if err := receive(t, "cancellation", result); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	// Shutdown does not wait for the connection either.
	for range 2 {
		s.Dial(t.Context(), "tcp", address, engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
			result <- err
			return nil
		})
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := receive(t, "shutdown", result); !errors.Is(err, engine.ErrShutdown) {
			t.Errorf("%v", err)
		}
	}
	if err := s.Dial(t.Context(), "tcp", address, engine.DialConfig{},
		func(*engine.Conn, error) engine.Protocol { return nil }); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Dial after Shutdown: %v", err)
	}
}

// unspeakable is an error whose text panics, and so does the value it panics with: fmt gives up.
type unspeakable struct{}

func (u unspeakable) Error() string { panic(u) }

// TestDialEndsByAnErrorThatPanics: done was not called.
func TestDialEndsByAnErrorThatPanics(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	s.Dial(ctx, "tcp", deafPort(t), engine.DialConfig{}, func(_ *engine.Conn, err error) engine.Protocol {
		result <- err
		return nil
	})
	cancel(unspeakable{})
	if err := receive(t, "end", result); !errors.Is(err, unspeakable{}) {
		t.Errorf("got %#v", err)
	}
}

func TestDialWithoutProtocolCloses(t *testing.T) {
	closed := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &caller{c: c, want: 1, done: func(_ []byte, err error) { closed <- err }}
	})
	for name, done := range map[string]func(*engine.Conn, error) engine.Protocol{
		"nil":   func(*engine.Conn, error) engine.Protocol { return nil },
		"panic": func(*engine.Conn, error) engine.Protocol { panic("in done") },
	} {
		var calls atomic.Int32
		s.Dial(t.Context(), "tcp", s.ln.String(), engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
			calls.Add(1)
			return done(c, err)
		})
		receive(t, "end of the connection by "+name, closed)
		if calls.Load() != 1 {
			t.Errorf("%s: done was called %d times", name, calls.Load())
		}
	}
}

func TestDialThousandsAtOnce(t *testing.T) {
	const conns = 3000
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	var all sync.WaitGroup
	var failed atomic.Int32
	for i := range conns {
		result := call(s.Engine, "tcp", s.ln.String(), engine.DialConfig{Timeout: time.Minute},
			fmt.Sprint("message ", i))
		all.Go(func() {
			if err := <-result; err != nil && failed.Add(1) == 1 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d failed", n, conns)
	}
}

func TestDialBeforeRun(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	result := call(eng, "tcp", ln.Addr().String(), engine.DialConfig{}, "early")
	go eng.Run(t.Context())
	if err := receive(t, "echo", result); err != nil {
		t.Error(err)
	}
	eng.Close()
}
