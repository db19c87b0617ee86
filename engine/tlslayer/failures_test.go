package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// logged is what a Layer has logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) at(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// TestFailedHandshakesAreLogged: nobody heard why a client could not connect. What port scanners
// send is not worth a message.
func TestFailedHandshakesAreLogged(t *testing.T) {
	refusing := func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errors.New("no key today")
		}
		c.Certificates = nil
	}
	hello := func(addr string) {
		c := changed(func(c *tls.Config) { c.ServerName = "example.com" })
		if _, err := tls.Dial("tcp", addr, c); err == nil {
			panic("the handshake succeeds")
		}
	}
	send := func(text string) func(addr string) {
		return func(addr string) {
			c := must(net.Dial("tcp", addr))
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, text)
			io.Copy(io.Discard, c)
		}
	}
	for _, test := range []struct {
		name   string
		server func(*tls.Config)
		dial   func(addr string)
		level  slog.Level
		want   string // "": nothing
	}{
		{"certificate", refusing, hello, slog.LevelInfo, "level=WARN"},
		{"garbage", nil, send("GET / HTTP/1.1\r\n\r\n"), slog.LevelInfo, ""},
		{"garbage with debug", nil, send("GET / HTTP/1.1\r\n\r\n"), slog.LevelDebug, "level=DEBUG"},
		{"silence", nil, send(""), slog.LevelInfo, ""},
		{"a PROXY header of version 1", nil, send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), slog.LevelInfo,
			"ListenConfig.Proxy"},
		{"a PROXY header of version 2", nil, send("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), slog.LevelInfo,
			"ListenConfig.Proxy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := run(t, engine.Config{Loops: 1})
			log := new(logged)
			l := must(New(Config{TLS: changed(test.server), Logger: log.at(test.level),
				HandshakeTimeout: 500 * time.Millisecond}))
			ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0",
				func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }))
			for range 3 {
				test.dial(ln.String())
			}
			waitFor(t, func() bool { s := l.Stats(); return s.Begun == 3 && s.Open == 0 })
			if test.want != "" {
				waitFor(t, func() bool { return log.String() != "" })
			}
			text := log.String()
			if !strings.Contains(text, test.want) || strings.Count(text, "\n") > 1 || test.want == "" && text != "" {
				t.Errorf("the log has %q", text)
			}
			if test.server != nil {
				for _, want := range []string{
					"remote=127.0.0.1:", "server_name=example.com", "no key today", "unlogged=0",
				} {
					if !strings.Contains(text, want) {
						t.Errorf("the log has no %s: %q", want, text)
					}
				}
			}
		})
	}
}

// TestFailuresAreCounted: a message tells how many there were since the last one.
func TestFailuresAreCounted(t *testing.T) {
	var f failures
	now := time.Now()
	for i, test := range []struct {
		kind     failureKind
		after    time.Duration
		unlogged int
		ok       bool
	}{
		{failed, 0, 0, true},
		{failed, 9 * time.Second, 0, false},
		{failed, 9 * time.Second, 0, false},
		{panicked, 9 * time.Second, 0, true}, // is not held up by the others
		{failed, 11 * time.Second, 2, true},
		{failed, 22 * time.Second, 0, true},
	} {
		if n, ok := f.due(test.kind, now.Add(test.after)); n != test.unlogged || ok != test.ok {
			t.Errorf("%d: %d, %t", i, n, ok)
		}
	}
}

// TestPanicInHandshake: a panic of a callback was an error like any other of the peer's, and
// nobody heard of it.
func TestPanicInHandshake(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	log := new(logged)
	l := must(New(Config{Logger: log.at(slog.LevelInfo), TLS: changed(func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("oops") }
		c.Certificates = nil
	})}))
	ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }))
	if _, err := tls.Dial("tcp", ln.String(), testConfig()); err == nil {
		t.Error("the handshake succeeds")
	}
	waitFor(t, func() bool {
		s := must(e.Stats(t.Context()))
		return s.Panics == 1 && s.HandshakesFailed[engine.CausePanic] == 1
	})
	if text := log.String(); !strings.Contains(text, "oops") || !strings.Contains(text, "level=ERROR") ||
		!strings.Contains(text, "failures_test.go") {
		t.Errorf("the log has %q", text)
	}
}

// TestGoexitInHandshake: it kept the turn of its handshake, so that after a few nobody could
// connect any more.
func TestGoexitInHandshake(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	l := must(New(Config{Processors: 1, HandshakeTimeout: 2 * time.Second, TLS: changed(func(c *tls.Config) {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.ServerName == "exit.example" {
				runtime.Goexit()
			}
			return nil
		}
	})}))
	ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }))
	bad := changed(func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "exit.example", true })
	if c, err := tls.Dial("tcp", ln.String(), bad); err == nil {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Read(make([]byte, 1))
		c.Close()
	}
	c := dial(t, ln.String(), testConfig())
	io.WriteString(c, "x")
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return must(e.Stats(t.Context())).Panics == 1 })
	if s := l.Stats(); s.Open != 0 || s.HeldBytes != 0 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

// exiting is an error whose methods end the goroutine.
type exiting struct{ error }

func (exiting) Is(error) bool {
	runtime.Goexit()
	return false
}

// TestGoexitInAMethodOfAnError of a callback: it left the lock of its handshake locked, and the
// loop waited for that for ever.
func TestGoexitInAMethodOfAnError(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	l := must(New(Config{TLS: changed(func(c *tls.Config) {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.ServerName == "exit.example" {
				return exiting{errors.New("not you")}
			}
			return nil
		}
	})}))
	ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }))
	bad := must(net.Dial("tcp", ln.String()))
	defer bad.Close()
	bad.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(bad, changed(func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "exit.example", true }))
	c.Handshake()
	if _, err := io.Copy(io.Discard, bad); err != nil {
		t.Errorf("the connection does not end: %v", err)
	}
	good := dial(t, ln.String(), testConfig())
	good.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(good, "x")
	if _, err := io.ReadFull(good, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Open != 0 || s.HeldBytes != 0 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}
