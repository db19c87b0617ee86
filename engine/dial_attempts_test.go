package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver"
)

// names is a DialConfig.LookupNetIP that knows these addresses.
func names(addrs ...string) func(context.Context, string, string) ([]netip.Addr, error) {
	return func(context.Context, string, string) (all []netip.Addr, err error) {
		for _, a := range addrs {
			all = append(all, netip.MustParseAddr(a))
		}
		return all, nil
	}
}

// echoAt is an echo server on another address.
func (s *server) echoAt(t *testing.T, address string) (port uint16) {
	t.Helper()
	ln, err := s.Listen("tcp", address, func(c *engine.Conn) engine.Protocol { return &small{c} })
	if err != nil {
		t.Skipf("cannot listen on %s: %v", address, err)
	}
	return ln.Addr().Port()
}

// TestDialGoesOnPastABlackHole: the first address ate the whole timeout.
func TestDialGoesOnPastABlackHole(t *testing.T) {
	for _, test := range []struct {
		name       string
		works      string // the address that answers
		tried      []string
		delay      time.Duration
		local      string
		least, max time.Duration
	}{
		{name: "next after the delay", works: "127.0.0.3", tried: []string{"127.0.0.2", "127.0.0.3"},
			delay: 50 * time.Millisecond, least: 50 * time.Millisecond, max: 1500 * time.Millisecond},
		{name: "one after the other", works: "127.0.0.3", tried: []string{"127.0.0.2", "127.0.0.3"}, delay: -1,
			least: 2 * time.Second, max: 3800 * time.Millisecond},
		{name: "one after the other with a port", works: "127.0.0.3", tried: []string{"127.0.0.2", "127.0.0.3"},
			local: "127.0.0.9:", least: 2 * time.Second, max: 3800 * time.Millisecond},
		{name: "other family first", works: "::1", tried: []string{"127.0.0.2", "127.0.0.2", "::1"},
			delay: 50 * time.Millisecond, least: 50 * time.Millisecond, max: 1500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("only Linux answers on all of 127/8 unasked")
			}
			t.Parallel()
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
			port := s.echoAt(t, net.JoinHostPort(test.works, "0"))
			deaf(t, fmt.Sprint("127.0.0.2:", port))
			config := engine.DialConfig{Timeout: 4 * time.Second, FallbackDelay: test.delay,
				LookupNetIP: names(test.tried...)}
			if test.local != "" {
				config.LocalAddr = netip.MustParseAddrPort(test.local + unusedPort(t, test.local+"0"))
			}
			begin := time.Now()
			err := receive(t, "end", call(s.Engine, "tcp", fmt.Sprint("two.test:", port), config, "hello"))
			if took := time.Since(begin); err != nil || took < test.least || took > test.max {
				t.Errorf("%v after %v, want from %v to %v", err, took, test.least, test.max)
			}
			eventually(t, "end of the other attempts", func() bool {
				stats, err := s.Stats(t.Context())
				return err == nil && stats.Connections == 0
			})
		})
	}
}

// unusedPort is a port of the address's host on which nobody listens. It is below those that the
// kernel gives to clients: one of theirs may be taken before the test listens on it.
func unusedPort(t *testing.T, address string) string {
	t.Helper()
	host, _, err := net.SplitHostPort(address)
	for range 100 {
		if err != nil {
			break
		}
		port := fmt.Sprint(10_000 + rand.IntN(22_000))
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatalf("no port of %s is free (%v)", address, err)
	return ""
}

// TestDialGoesOnAfterAnyError at once, and reports that of the first address.
func TestDialGoesOnAfterAnyError(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	port := s.ln.Addr().Port()
	config := engine.DialConfig{FallbackDelay: time.Hour}
	// refused; no route, as connect(2) itself says; works
	config.LookupNetIP = names("::1", "255.255.255.255", "127.0.0.1")
	if err := receive(t, "end", call(s.Engine, "tcp", fmt.Sprint("a.test:", port), config, "hello")); err != nil {
		t.Error(err)
	}
	config.LookupNetIP = names("127.0.0.1", "255.255.255.255")
	target := "a.test:" + unusedPort(t, "127.0.0.1:0")
	err := receive(t, "end", call(s.Engine, "tcp", target, config, "hello"))
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), target) ||
		!strings.Contains(err.Error(), "127.0.0.1:") {
		t.Error(err)
	}
}

// TestDialLookUpThatFails in every way is told on the loop.
func TestDialLookUpThatFails(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	why := errors.New("no name server")
	for name, look := range map[string]func(context.Context, string, string) ([]netip.Addr, error){
		"error":  func(context.Context, string, string) ([]netip.Addr, error) { return nil, why },
		"none":   names(),
		"family": names("::1"),
		"panic":  func(context.Context, string, string) ([]netip.Addr, error) { panic(why) },
		"Goexit": func(context.Context, string, string) ([]netip.Addr, error) { runtime.Goexit(); return nil, nil },
		"late": func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, why
		},
	} {
		config := engine.DialConfig{Timeout: 30 * time.Millisecond, LookupNetIP: look}
		err := receive(t, "error", call(s.Engine, "tcp4", "a.test:1", config, ""))
		want := map[string]error{"error": why, "panic": why, "late": context.DeadlineExceeded}[name]
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDialsByNameSpreadOverTheLoops: all that came together went to one.
func TestDialsByNameSpreadOverTheLoops(t *testing.T) {
	const loops, each = 4, 10
	s := serve(t, engine.Config{Loops: loops}, echoes)
	var count [loops]int
	loop := make(chan int)
	proceed := make(chan struct{})
	config := engine.DialConfig{LookupNetIP: func(context.Context, string, string) ([]netip.Addr, error) {
		<-proceed
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}}
	for range loops * each {
		if err := s.Dial(t.Context(), "tcp", fmt.Sprint("a.test:", s.ln.Addr().Port()), config,
			func(c *engine.Conn, err error) engine.Protocol {
				if err != nil {
					t.Error(err)
					return nil
				}
				go func() { loop <- c.Loop() }()
				return echoOn(c)
			}); err != nil {
			t.Fatal(err)
		}
	}
	close(proceed)
	for range loops * each {
		count[receive(t, "connection", loop)]++
	}
	for i, n := range count {
		if n != each {
			t.Errorf("loop %d has %d of %d connections", i, n, loops*each)
		}
	}
}

// TestLookUpAtTheEndIsTold: the engine ends while names are looked up, by a resolver that does not
// listen to its context. done was not called, or by another goroutine.
func TestLookUpAtTheEndIsTold(t *testing.T) {
	for _, ran := range []bool{true, false} {
		eng, err := engine.New(engine.Config{Loops: 2})
		if err != nil {
			t.Fatal(err)
		}
		var looking atomic.Int32
		proceed := make(chan struct{})
		config := engine.DialConfig{LookupNetIP: func(context.Context, string, string) ([]netip.Addr, error) {
			looking.Add(1)
			<-proceed
			return nil, errors.New("too late")
		}}
		const dials = 10
		told := make(chan error, 2*dials)
		for range dials {
			if err := eng.Dial(t.Context(), "tcp", "a.test:1", config,
				func(_ *engine.Conn, err error) engine.Protocol { told <- err; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if ran {
			go eng.Run(t.Context())
			eventually(t, "look-ups", func() bool { return looking.Load() == dials })
		}
		if err := eng.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		close(proceed)
		if len(told) != dials {
			t.Errorf("%d of %d were told before Shutdown returned", len(told), dials)
		}
		for range len(told) {
			if err := <-told; !errors.Is(err, engine.ErrShutdown) {
				t.Error(err)
			}
		}
	}
}

// TestDialWaitsForAUnixBacklog: EAGAIN of a full one was an error at once.
func TestDialWaitsForAUnixBacklog(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems refuse")
	}
	path := t.TempDir() + "/s"
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 1),
		syscall.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, engine.Config{Loops: 1}, echoes)
	const dials = 6
	ended := make(chan error, dials)
	dial := func(timeout time.Duration) {
		s.Dial(t.Context(), "unix", path, engine.DialConfig{Timeout: timeout},
			func(_ *engine.Conn, err error) engine.Protocol { ended <- err; return nil })
	}
	for range 2 {
		dial(time.Minute)
		if err := receive(t, "connection", ended); err != nil {
			t.Fatal(err)
		}
	}
	dial(30 * time.Millisecond)
	if err := receive(t, "timeout", ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("full until the timeout: %v", err)
	}
	for range dials {
		dial(time.Minute)
	}
	for range dials {
		if c, _, err := syscall.Accept(fd); err == nil {
			defer syscall.Close(c)
		}
		if err := receive(t, "connection", ended); err != nil {
			t.Error(err)
		}
	}
}

// selfish is the system's backend, whose first sockets get the port that they connect to. The
// kernel does that now and then on a port of the ephemeral range.
type selfish struct {
	driver.Backend
	selves, calls int
}

func (b *selfish) Connect(network, address string, local netip.AddrPort) (int, error) {
	if b.calls++; b.calls <= b.selves {
		local = netip.MustParseAddrPort(address)
	}
	return b.Backend.Connect(network, address, local)
}

// TestDialNeverConnectsToItself, where nobody listens. It tries again, as net.Dialer does.
func TestDialNeverConnectsToItself(t *testing.T) {
	for _, test := range []struct {
		name          string
		selves, calls int
	}{
		{name: "once", selves: 1, calls: 2},
		{name: "always", selves: 100, calls: 3},
	} {
		b := &selfish{Backend: engine.Platform, selves: test.selves}
		eng, err := engine.NewOn(b, engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		address := "127.0.0.1:" + unusedPort(t, "127.0.0.1:0")
		told := make(chan error, 1)
		eng.Dial(t.Context(), "tcp", address, engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
			told <- err
			return nil
		})
		eventually(t, "end", func() bool { eng.Step(); return len(told) > 0 })
		if err := <-told; !errors.Is(err, syscall.ECONNREFUSED) || b.calls != test.calls {
			t.Errorf("%s: %v after %d attempts, want ECONNREFUSED after %d", test.name, err, b.calls, test.calls)
		}
		eng.BeginShutdown()
		for eng.Step() {
		}
	}
}

// TestDialEmptyHost is this machine, as for net.Dialer.
func TestDialEmptyHost(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	port := s.ln.Addr().Port()
	for _, address := range []string{fmt.Sprint(":", port), fmt.Sprint("0.0.0.0:", port),
		fmt.Sprintf("[::]:%d", port)} {
		if err := receive(t, "end", call(s.Engine, "tcp", address, engine.DialConfig{}, "hello")); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
