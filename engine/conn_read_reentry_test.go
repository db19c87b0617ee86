package engine_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// reentrant calls back from InputBuffer, and from Recovered after a panic.
type reentrant struct {
	conn      *engine.Conn
	input     func(*engine.Conn) // called once
	recovered func()
	closed    chan error
}

func (r *reentrant) Feed(b []byte) (int, error) {
	if r.recovered != nil {
		panic("boom")
	}
	r.conn.SetGreedy(true)
	r.conn.Write(b)
	return len(b), nil
}

func (r *reentrant) InputBuffer(shared []byte) []byte {
	if f := r.input; f != nil {
		r.input = nil
		f(r.conn)
	}
	return shared
}

func (r *reentrant) Recovered(*engine.PanicError) { r.recovered() }
func (r *reentrant) Closed(err error)             { r.closed <- err }

// TestConnectionThatEndsInInputBuffer: nobody settled what InputBuffer had begun, and the engine
// could not be closed any more.
func TestConnectionThatEndsInInputBuffer(t *testing.T) {
	released := make(chan net.Conn, 1)
	for _, test := range []struct {
		name  string
		input func(*engine.Conn)
		ends  bool
	}{
		{name: "Abort", input: (*engine.Conn).Abort, ends: true},
		{name: "Close", input: (*engine.Conn).Close, ends: true},
		{name: "Release", input: func(c *engine.Conn) {
			c.Release(func(nc net.Conn, _, _ []byte, _ error) { released <- nc })
		}},
		{name: "Write", input: func(c *engine.Conn) { c.Write([]byte("!")) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			closed := make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &reentrant{conn: c, closed: closed, input: test.input}
			})
			c := s.dial(t)
			ask(t, c, "x") // greedy from now on
			io.WriteString(c, "y")
			switch test.name {
			case "Release":
				nc := receive(t, "released connection", released)
				defer nc.Close()
				if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
					t.Errorf("the input: %v", err)
				}
			case "Write":
				if b := make([]byte, 2); true {
					if _, err := io.ReadFull(c, b); err != nil || string(b) != "!y" {
						t.Errorf("%q, %v", b, err)
					}
				}
			default:
				c.Close()
				receive(t, "end", closed)
			}
		})
	}
}

// TestGoexitInRecovered ended the loop for good.
func TestGoexitInRecovered(t *testing.T) {
	closed := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &reentrant{conn: c, closed: closed, recovered: runtime.Goexit}
	})
	c := s.dial(t)
	io.WriteString(c, "x")
	io.Copy(io.Discard, c)
	c.Close()
	if err := receive(t, "end", closed); err == nil {
		t.Error("the panic is not the reason")
	}
	ran := make(chan bool, 1)
	if err := s.Post(0, func() { ran <- true }); err != nil {
		t.Fatal(err)
	}
	receive(t, "posted function", ran)
}
