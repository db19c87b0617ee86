package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// mover is a Protocol that can move. It answers each seven bytes with themselves, changed by their
// place in the stream: a byte that is lost, doubled or out of order, or a state that is, changes
// everything behind it.
type mover struct {
	c      *engine.Conn
	pos    uint64
	closed func(error)

	save func() error // called by Save; nil: nothing
}

const moverUnit = 7

func newMover(c *engine.Conn) engine.Protocol { return &mover{c: c} }

func changed(b byte, pos uint64) byte { return b + byte(pos>>3) + byte(pos) }

func (m *mover) Feed(b []byte) (int, error) {
	n := len(b) - len(b)%moverUnit
	for i := range b[:n] {
		b[i] = changed(b[i], m.pos)
		m.pos++
	}
	m.c.Write(b[:n])
	return n, nil
}

func (m *mover) Closed(err error) {
	if m.closed != nil {
		m.closed(err)
	}
}

func (m *mover) Save(_ *engine.Conn, dst []byte) ([]byte, error) {
	if m.save != nil {
		if err := m.save(); err != nil {
			return dst, err
		}
	}
	return binary.BigEndian.AppendUint64(dst, m.pos), nil
}

func loadMover(c *engine.Conn, state []byte) (engine.Protocol, error) {
	if len(state) != 8 {
		return nil, fmt.Errorf("a state of %d bytes", len(state))
	}
	return &mover{c: c, pos: binary.BigEndian.Uint64(state)}, nil
}

// generation is an engine in this process that can hand over and take over.
type generation struct {
	*engine.Engine
	h       *engine.Handover
	ln      *engine.Listener
	log     *lockedBuffer
	ran     chan error // what Run has returned
	offered chan error // what Offer has returned
}

// handoverPath returns a Path for the generations of a test.
func handoverPath(t testing.TB) string { return filepath.Join(t.TempDir(), "handover") }

// begin makes a generation, which takes over from the last one, if there is one.
func begin(t testing.TB, h engine.Handover, c engine.Config, lc engine.ListenConfig,
	accept func(*engine.Conn) engine.Protocol) *generation {
	t.Helper()
	g := &generation{h: &h, log: &lockedBuffer{}, ran: make(chan error, 1), offered: make(chan error, 1)}
	c.Logger = logTo(g.log)
	var err error
	if g.Engine, err = engine.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Engine.Close() })
	if _, err := g.h.Inherit(t.Context(), g.Engine); err != nil {
		t.Fatal(err)
	}
	if g.ln, err = lc.Listen(g.Engine, "tcp", "127.0.0.1:0", accept); err != nil {
		t.Fatal(err)
	}
	return g
}

// run runs the engine and offers it.
func (g *generation) run() {
	go func() { g.ran <- g.Engine.Run(context.Background()) }()
	<-g.Engine.Started()
	go func() { g.offered <- g.h.Offer(context.Background(), g.Engine) }()
}

// waitFor waits for a stage of a handover.
func (g *generation) waitFor(t testing.TB, stage engine.HandoverStage) {
	t.Helper()
	eventually(t, "stage "+stage.String(), func() bool { return g.Engine.Handover().Stage == stage })
}

// handOver begins a successor with the same configuration, and waits until it has everything.
func (g *generation) handOver(t testing.TB, h engine.Handover, c engine.Config, lc engine.ListenConfig,
	accept func(*engine.Conn) engine.Protocol) *generation {
	t.Helper()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	next := begin(t, h, c, lc, accept)
	if next.ln.String() != g.ln.String() {
		t.Fatalf("the new process listens on %v, the old one on %v", next.ln, g.ln)
	}
	next.run()
	if err := receive(t, "end of Offer", g.offered); !errors.Is(err, engine.ErrHandedOver) {
		t.Fatalf("Offer: %v\n%s", err, g.log)
	}
	if err := receive(t, "end of Run", g.ran); !errors.Is(err, engine.ErrHandedOver) {
		t.Fatalf("Run: %v\n%s", err, g.log)
	}
	next.waitFor(t, engine.HandoverDone)
	return next
}

// dialTo connects a client to a listener.
func dialTo(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// talk sends n times seven bytes and checks the answer. from is where the stream is.
func talk(t testing.TB, c io.ReadWriter, from *uint64, n int) {
	t.Helper()
	out := make([]byte, n*moverUnit)
	for i := range out {
		out[i] = byte(i)
	}
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	readChanged(t, c, from, out)
}

// readChanged reads the answer to out.
func readChanged(t testing.TB, c io.Reader, from *uint64, out []byte) {
	t.Helper()
	in := make([]byte, len(out))
	for n := 0; n < len(in); {
		k, err := c.Read(in[n:])
		if err != nil {
			t.Fatalf("after %d bytes: %v", *from, err)
		}
		n += k
	}
	for i := range in {
		if want := changed(out[i], *from); in[i] != want {
			t.Fatalf("byte %d is %d, want %d", *from, in[i], want)
		}
		*from++
	}
}
