package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// badge is an Attachment of a Mover, by its name.
type badge struct{ name, text string }

func (*badge) Flushed(*websocket.Conn)       {}
func (*badge) Closed(*websocket.Conn, error) {}

// badges is a Mover of those with a name. save and load, if there are any, come before.
type badges struct {
	name       string
	log        *calls
	save, load func() error
}

// calls are what was called, in order.
type calls struct {
	mu  sync.Mutex
	all []string
}

func (k *calls) note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, fmt.Sprintf(format, args...))
}

func (k *calls) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

func (m *badges) Owns(a websocket.Attachment) bool {
	b, ok := a.(*badge)
	return ok && b.name == m.name
}

func (m *badges) Save(c *websocket.Conn, dst []byte) ([]byte, error) {
	if m.save != nil {
		if err := m.save(); err != nil {
			return nil, err
		}
	}
	for _, a := range c.Attachments() {
		if m.Owns(a) {
			dst = append(dst, a.(*badge).text...)
		}
	}
	return dst, nil
}

func (m *badges) Load(c *websocket.Conn, state []byte) error {
	m.log.note("Mover %s loads %s, Value %v", m.name, state, c.Value)
	if m.load != nil {
		if err := m.load(); err != nil {
			return err
		}
	}
	return c.Attach(&badge{m.name, string(state)})
}

// badged is a Server whose connections have a Value, and an Attachment of each Mover.
func badged(log *calls, movers ...*badges) *websocket.Server {
	h := &websocket.Handover{
		Movers: make(map[string]websocket.Mover),
		Save: func(c *websocket.Conn, dst []byte) ([]byte, error) {
			return append(dst, c.Value.(string)...), nil
		},
		Load: func(c *websocket.Conn, state []byte) error {
			log.note("Load has %s, and %d are attached", state, len(c.Attachments()))
			c.Value = string(state)
			return nil
		},
	}
	for _, m := range movers {
		m.log = log
		h.Movers[m.name] = m
	}
	return &websocket.Server{Handover: h, Message: echo, Open: func(c *websocket.Conn) {
		c.Value = "a value"
		for _, m := range movers {
			c.Attach(&badge{m.name, "text of " + m.name})
		}
	}}
}

// TestMoversLoadInOrder: each Mover gets what it has saved, in the order of their names, and Load
// of the Handover comes last.
func TestMoversLoadInOrder(t *testing.T) {
	log := new(calls)
	a, address := startProcess(t, badged(new(calls), &badges{name: "z"}, &badges{name: "a"}, &badges{name: "m"}))
	b, _ := startProcess(t, badged(log, &badges{name: "m"}, &badges{name: "z"}, &badges{name: "a"},
		&badges{name: "has nothing"}))
	c := dial(t, address)
	ec, err := move(t, receive(t, "connection", a.conns), b)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Mover a loads text of a, Value <nil>", "Mover m loads text of m, Value <nil>",
		"Mover z loads text of z, Value <nil>", "Load has a value, and 3 are attached"}
	if got := log.list(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := move(t, ec, a); err != nil { // back: what was loaded can be saved
		t.Error(err)
	}
	c.Write([]byte("\x81\x81\x00\x00\x00\x00x"))
	c.expect(t, 1, "x")
}

// TestMoverIsMissing: a process without the Mover of something that is attached refuses the
// connection.
func TestMoverIsMissing(t *testing.T) {
	a, address := startProcess(t, badged(new(calls), &badges{name: "a"}, &badges{name: "b"}))
	for name, s := range map[string]*websocket.Server{
		"other Movers": badged(new(calls), &badges{name: "a"}),
		"no Handover":  {Message: echo},
	} {
		b, _ := startProcess(t, s)
		dial(t, address)
		_, err := move(t, receive(t, "connection", a.conns), b)
		var cause interface{ Unmovable() string }
		if !errors.As(err, &cause) || cause.Unmovable() != "no websocket.Handover.Movers" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMoverFails: an error of Save keeps the connection where it is. After an error of Load the
// client is told to come back.
func TestMoverFails(t *testing.T) {
	fails := func() error { return errors.New("not now") }
	a, address := startProcess(t, badged(new(calls), &badges{name: "a", save: fails}))
	b, second := startProcess(t, badged(new(calls), &badges{name: "a"}))
	c := dial(t, address)
	_, err := move(t, receive(t, "connection", a.conns), b)
	if err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("Save: %v", err)
	}
	c.Write([]byte("\x81\x81\x00\x00\x00\x00x"))
	c.expect(t, 1, "x")
	refusing, _ := startProcess(t, badged(new(calls), &badges{name: "a", load: fails}))
	c = dial(t, second)
	if _, err := move(t, receive(t, "connection", b.conns), refusing); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closeCode(t); code != 1012 {
		t.Errorf("close code %d", code)
	}
}

// TestMoverPanics: in Save or Load, it costs that connection only.
func TestMoverPanics(t *testing.T) {
	panics := func() error { panic("in a Mover") }
	for name, m := range map[string][2]*badges{
		"Save": {{name: "a", save: panics}, {name: "a"}},
		"Load": {{name: "a"}, {name: "a", load: panics}},
	} {
		t.Run(name, func(t *testing.T) {
			a, address := startProcess(t, badged(new(calls), m[0]))
			b, second := startProcess(t, badged(new(calls), m[1]))
			old, other := dial(t, address), dial(t, second)
			ec, there := receive(t, "connection", a.conns), receive(t, "connection", b.conns)
			if name == "Save" {
				ec.Handle().Post(func(c *engine.Conn) { c.Protocol().(engine.Saver).Save(c, nil) })
				io.ReadAll(old.r)
			} else {
				state, err := save(t, ec)
				if err != nil {
					t.Fatal(err)
				}
				there.Handle().Post(func(c *engine.Conn) { b.load(c, state) })
				io.ReadAll(other.r)
			}
			for _, address := range []string{address, second} { // both serve
				c := dial(t, address)
				c.Write([]byte("\x81\x81\x00\x00\x00\x00x"))
				c.expect(t, 1, "x")
			}
		})
	}
}

// TestHandoverSaveThatDoesNotAppend: a Save that forgets dst changes nothing but the user's part.
// What the package had written was lost, and the connection with it.
func TestHandoverSaveThatDoesNotAppend(t *testing.T) {
	s := numbering(nil)
	s.Handover.Save = func(c *websocket.Conn, _ []byte) ([]byte, error) { return []byte{*c.Value.(*byte)}, nil }
	a, address := startProcess(t, s)
	b, _ := startProcess(t, s)
	c := dial(t, address)
	if _, err := move(t, receive(t, "connection", a.conns), b); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("\x81\x81\x00\x00\x00\x00x"))
	c.expect(t, 1, "1 of : x")
}
