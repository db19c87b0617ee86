package gnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	upstream "github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"

	"github.com/myriadnet/myriad/engine/gnet"
)

// patience limits every wait of these tests.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	logging.SetDefaultLoggerAndFlusher(quiet{}, nil)
	os.Exit(m.Run())
}

// quiet is a logger that logs nothing.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// framework is gnet, or this package: the tests run the same handlers on both.
type framework struct {
	name   string
	run    func(h upstream.EventHandler, booted func(running), addrs []string, opts ...gnet.Option) error
	client func(h upstream.EventHandler, opts ...gnet.Option) (client, error)
}

// running is an Engine of either framework.
type running interface {
	CountConnections() int
	Dup() (int, error)
	DupListener(network, addr string) (int, error)
	Register(context.Context) (<-chan gnet.RegisteredResult, error)
	Stop(context.Context) error
	Validate() error
}

// client is a Client of either framework.
type client interface {
	Start() error
	Stop() error
	Dial(network, address string) (gnet.Conn, error)
	DialContext(network, address string, ctx any) (gnet.Conn, error)
	Enroll(net.Conn) (gnet.Conn, error)
}

var frameworks = []framework{
	{
		name: "gnet",
		run: func(h upstream.EventHandler, booted func(running), addrs []string, opts ...gnet.Option) error {
			return upstream.Rotate(theirs{h, booted}, addrs, opts...)
		},
		client: func(h upstream.EventHandler, opts ...gnet.Option) (client, error) {
			return upstream.NewClient(h, opts...)
		},
	},
	{
		name: "myriad",
		run: func(h upstream.EventHandler, booted func(running), addrs []string, opts ...gnet.Option) error {
			return gnet.Rotate(ours{gnet.Adapt(h), booted}, addrs, opts...)
		},
		client: func(h upstream.EventHandler, opts ...gnet.Option) (client, error) {
			return gnet.NewClient(gnet.Adapt(h), opts...)
		},
	},
}

type theirs struct {
	upstream.EventHandler
	booted func(running)
}

func (h theirs) OnBoot(e upstream.Engine) gnet.Action {
	h.booted(e)
	return h.EventHandler.OnBoot(e)
}

type ours struct {
	gnet.EventHandler
	booted func(running)
}

func (h ours) OnBoot(e gnet.Engine) gnet.Action {
	h.booted(e)
	return h.EventHandler.OnBoot(e)
}

// both runs a test on both frameworks.
func both(t *testing.T, f func(t *testing.T, f framework)) {
	t.Parallel()
	for _, fw := range frameworks {
		t.Run(fw.name, func(t *testing.T) {
			t.Parallel()
			f(t, fw)
		})
	}
}

// server is a handler that runs.
type server struct {
	running
	t     *testing.T
	ended chan error
}

// serve runs h until the test ends, when it must end in order.
func (f framework) serve(t *testing.T, h upstream.EventHandler, addrs []string, opts ...gnet.Option) *server {
	t.Helper()
	booted := make(chan running, 1)
	s := &server{t: t, ended: make(chan error, 1)}
	go func() {
		s.ended <- f.run(h, func(e running) { booted <- e }, addrs, opts...)
		close(s.ended)
	}()
	select {
	case s.running = <-booted:
	case err := <-s.ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		go s.Stop(ctx) // gnet's looks only twice a second whether the engine has ended
		s.awaitEnd()
	})
	return s
}

// awaitEnd waits until Run has returned nil.
func (s *server) awaitEnd() {
	s.t.Helper()
	if err, _ := receive(s.t, s.ended); err != nil {
		s.t.Errorf("Run returned %v", err)
	}
}

// receive returns what is received from ch, which is nothing if it is closed.
func receive[T any](t *testing.T, ch <-chan T) (T, bool) {
	t.Helper()
	select {
	case v, ok := <-ch:
		return v, ok
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// addr returns the address of the only listener.
func (s *server) addr() net.Addr {
	s.t.Helper()
	fd, err := s.Dup()
	if err != nil {
		s.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	if ln, err := net.FileListener(f); err == nil {
		defer ln.Close()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		return ln.Addr()
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		s.t.Fatal(err)
	}
	defer pc.Close()
	return pc.LocalAddr()
}

// dial connects to the only listener.
func (s *server) dial() *peer {
	s.t.Helper()
	return dial(s.t, s.addr())
}

// peer is a connection of a test.
type peer struct {
	net.Conn
	t *testing.T
}

func dial(t *testing.T, addr net.Addr) *peer {
	t.Helper()
	nc, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &peer{nc, t}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); err != nil {
		p.t.Fatalf("%v after %q, want %q", err, short(string(got[:n])), short(want))
	}
	if string(got) != want {
		p.t.Fatalf("got %q, want %q", short(string(got)), short(want))
	}
}

// expectEnd reads until the end of the connection, which must have nothing but want before it.
func (p *peer) expectEnd(want string) {
	p.t.Helper()
	got, err := io.ReadAll(p)
	if errors.Is(err, os.ErrDeadlineExceeded) || string(got) != want {
		p.t.Fatalf("got %q and %v, want %q and the end", short(string(got)), err, short(want))
	}
}

func short(s string) string { return s[:min(len(s), 100)] }

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// until waits until f returns true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// handler is an EventHandler of functions. Those that are nil do nothing.
type handler struct {
	upstream.BuiltinEventEngine
	open     func(gnet.Conn) ([]byte, gnet.Action)
	traffic  func(gnet.Conn) gnet.Action
	closed   func(gnet.Conn, error) gnet.Action
	tick     func() (time.Duration, gnet.Action)
	shutdown func()
}

func (h *handler) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	if h.open == nil {
		return nil, gnet.None
	}
	return h.open(c)
}

func (h *handler) OnTraffic(c gnet.Conn) gnet.Action {
	if h.traffic == nil {
		return gnet.None
	}
	return h.traffic(c)
}

func (h *handler) OnClose(c gnet.Conn, err error) gnet.Action {
	if h.closed == nil {
		return gnet.None
	}
	return h.closed(c, err)
}

func (h *handler) OnTick() (time.Duration, gnet.Action) { return h.tick() }

func (h *handler) OnShutdown(upstream.Engine) {
	if h.shutdown != nil {
		h.shutdown()
	}
}

// echo is a traffic function.
func echo(c gnet.Conn) gnet.Action {
	b, _ := c.Next(-1)
	c.Write(b)
	return gnet.None
}

var large = strings.Repeat("0123456789abcdef", 1<<16)
