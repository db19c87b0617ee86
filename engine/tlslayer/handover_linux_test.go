package tlslayer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// A saving Protocol echoes lines, and can move.
type saving struct{ echoing }

func (p *saving) Feed(src []byte) (int, error) {
	n := 0
	for i, b := range src {
		if b == '\n' {
			n = i + 1
		}
	}
	p.conn.Write(src[:n])
	return n, nil
}

func (p *saving) Save(_ *engine.Conn, dst []byte) ([]byte, error) {
	return append(dst, "saved"...), nil
}

// successor is an engine that takes over from the last one at the path, if there is one.
type successor struct {
	*engine.Engine
	addr    string
	offered chan error
	loaded  chan uint16 // the cipher suite of each connection that has come
	conns   chan *engine.Conn
}

func succeed(t *testing.T, path string, c Config) *successor {
	t.Helper()
	s := &successor{Engine: must(engine.New(engine.Config{Loops: 2})), offered: make(chan error, 1),
		loaded: make(chan uint16, 100), conns: make(chan *engine.Conn, 100)}
	t.Cleanup(func() { s.Close() })
	l := must(New(c))
	h := &engine.Handover{Path: path, Layer: l.Server(), Patience: 100 * time.Millisecond,
		Load: func(c *engine.Conn, _ []byte) (engine.Protocol, error) {
			state, _ := ConnectionState(c)
			s.loaded <- state.CipherSuite
			return &saving{echoing{conn: c}}, nil
		}}
	if _, err := h.Inherit(t.Context(), s.Engine); err != nil {
		t.Fatal(err)
	}
	accept := func(c *engine.Conn) engine.Protocol {
		s.conns <- c
		return &saving{echoing{conn: c}}
	}
	s.addr = must(engine.ListenConfig{Layer: l.Server()}.Listen(s.Engine, "tcp", "127.0.0.1:0", accept)).String()
	go s.Run(context.Background())
	go func() { s.offered <- h.Offer(context.Background(), s.Engine) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody offers")
		}
	}
}

// TestHandover: TLS connections go to the next engine three times, in the middle of records and of
// lines, and clients resume their sessions there.
func TestHandover(t *testing.T) {
	for _, c := range []struct {
		name   string
		client func(*tls.Config)
	}{
		{name: "TLS 1.3"},
		{name: "TLS 1.2", client: tls12},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "handover")
			config := Config{TLS: testConfig()}
			s := succeed(t, path, config)
			client := changed(c.client)
			sessions(client)
			raw := must(net.Dial("tcp", s.addr))
			held := &holding{Conn: raw}
			nc := tls.Client(held, client)
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			expect := func(out, in string) {
				t.Helper()
				if _, err := io.WriteString(nc, out); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(in))
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != in {
					t.Fatalf("%q, %v; want %q", got, err, in)
				}
			}
			expect("a line\nand a part ", "a line\n")
			for range 3 {
				held.on.Store(true)
				held.kept = nil
				io.WriteString(nc, "of which the record is cut ")
				rest := held.kept
				held.on.Store(false)
				old := s
				s = succeed(t, path, config)
				if err := <-old.offered; !errors.Is(err, engine.ErrHandedOver) {
					t.Fatal(err)
				}
				if got, want := <-s.loaded, nc.ConnectionState().CipherSuite; got != want {
					t.Errorf("the cipher suite is %x, not %x", got, want)
				}
				raw.Write(rest)
				if old.addr != s.addr {
					t.Fatalf("the new one listens on %s, not on %s", s.addr, old.addr)
				}
				expect("\nand a part ", "and a part of which the record is cut \n")
			}
			again := must(tls.Dial("tcp", s.addr, client))
			defer again.Close()
			if _, err := io.WriteString(again, "x\n"); err != nil {
				t.Fatal(err)
			}
			if !again.ConnectionState().DidResume {
				t.Error("the session was not resumed")
			}
		})
	}
}

// TestHandoverLeavesStandardRecords: connections whose records crypto/tls makes are closed in
// order.
func TestHandoverLeavesStandardRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	config := Config{TLS: testConfig(), StandardRecords: true}
	s := succeed(t, path, config)
	nc := dial(t, s.addr, changed(nil))
	io.WriteString(nc, "x\n")
	io.ReadFull(nc, make([]byte, 2))
	succeed(t, path, config)
	if b, err := io.ReadAll(nc); err != nil || len(b) > 0 {
		t.Errorf("%q, %v; want the end", b, err)
	}
	if err := <-s.offered; !errors.Is(err, engine.ErrHandedOver) {
		t.Fatal(err)
	}
	if n := s.Handover().Stayed["records by crypto/tls"]; n != 1 {
		t.Errorf("stayed: %v", s.Handover().Stayed)
	}
}

// TestHandoverWithoutLayer: TLS connections do not move to a process that cannot take them over,
// and are closed in order.
func TestHandoverWithoutLayer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	s := succeed(t, path, Config{TLS: testConfig()})
	nc := must(tls.Dial("tcp", s.addr, changed(nil)))
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(nc, "x\n")
	if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	e := must(engine.New(engine.Config{Loops: 1}))
	defer e.Close()
	h := &engine.Handover{Path: path, Load: func(c *engine.Conn, _ []byte) (engine.Protocol, error) {
		return &saving{echoing{conn: c}}, nil
	}}
	if found, err := h.Inherit(t.Context(), e); !found || err != nil {
		t.Fatal(found, err)
	}
	go e.Run(context.Background())
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client gets %v, want the end in order", err)
	}
	nc.Close()
	if err := <-s.offered; !errors.Is(err, engine.ErrHandedOver) {
		t.Error(err)
	}
	if got := s.Handover(); got.Moved != 0 || got.Stayed["refused"] != 1 {
		t.Errorf("%+v", got)
	}
}
