package engine_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestMoveLosesNothing: a connection goes to another loop in the middle of its input, with output
// that the peer has not read, again and again. Its bytes stay in order, and its listener goes on
// counting it.
func TestMoveLosesNothing(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB: more than the kernel takes
	const moves = 6
	reasons, loops := make(chan error, moves), make(chan int, moves+1)
	var accept func(left int) func(*engine.Conn) engine.Protocol
	accept = func(left int) func(*engine.Conn) engine.Protocol {
		return func(c *engine.Conn) engine.Protocol {
			loops <- c.Loop()
			return &proto{
				feed: func(b []byte) (int, error) {
					c.Write(b[:1])
					if left == 0 {
						c.Close()
						return 1, nil
					}
					c.Write([]byte(big))
					if err := c.MoveTo(1-c.Loop(), accept(left-1)); err != nil {
						t.Error(err)
					}
					if err := c.MoveTo(0, accept(0)); !errors.Is(err, engine.ErrClosed) {
						t.Errorf("a second MoveTo: %v", err)
					}
					return 1, nil
				},
				closed: func(err error) {
					if left > 0 {
						reasons <- err
					}
				},
			}
		}
	}
	s := serve(t, engine.Config{Loops: 2, MaxOutbound: 64 << 20}, nothing)
	ln, err := engine.ListenConfig{MaxConnections: 1}.Listen(s.Engine, "tcp", "127.0.0.1:0", accept(moves))
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	c := s.dial(t)
	input := "abcdefghijklmnopqrstuvwxyz"[:moves+1]
	io.WriteString(c, input)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(strings.Split(input, ""), big)
	if string(got) != want {
		t.Fatalf("%d bytes arrived, want %d, in order", len(got), len(want))
	}
	for range moves {
		if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrReleased) {
			t.Errorf("reason %v", err)
		}
	}
	last := -1
	for range moves + 1 {
		if loop := receive(t, "loop", loops); loop == last {
			t.Errorf("twice on loop %d", loop)
		} else {
			last = loop
		}
	}
	c.Close()
	eventually(t, "free place", func() bool { return ln.Counted() == 0 })
	if n := stats(t, s.Engine).Closed[engine.CauseRelease]; n != moves {
		t.Errorf("%d connections are counted as released, want %d", n, moves)
	}
}

func nothing(*engine.Conn) engine.Protocol { return nil }

// TestMoveErrors: the connection stays where it is.
func TestMoveErrors(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		if c.MoveTo(1, nothing) == nil {
			t.Error("there is no loop 1")
		}
		if c.MoveTo(0, nil) == nil {
			t.Error("there is no accept function")
		}
		return echoOn(c)
	})
	c := s.dial(t)
	io.WriteString(c, "x")
	if b, err := io.ReadAll(io.LimitReader(c, 1)); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestMoveAfterCloseWrite: a connection whose half is closed goes to another loop, with output that
// the peer has not read. The peer waited for the FIN until it gave up, and the new Protocol could
// write behind it.
func TestMoveAfterCloseWrite(t *testing.T) {
	for _, test := range []struct {
		name   string
		output int
	}{
		{name: "nothing written"},
		{name: "what the kernel takes at once", output: 100},
		{name: "more than it takes", output: 8 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := make(chan error, 1)
			arrive := func(c *engine.Conn) engine.Protocol {
				if _, err := c.Write([]byte("late")); err != engine.ErrWriteClosed {
					t.Errorf("Write after the move: %v", err)
				}
				return &proto{feed: func(b []byte) (int, error) { return len(b), nil },
					closed: func(err error) { ended <- err }}
			}
			s := serve(t, engine.Config{Loops: 2, MaxOutbound: 64 << 20}, func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (int, error) {
					c.Write(make([]byte, test.output))
					c.CloseWrite()
					if err := c.MoveTo(1-c.Loop(), arrive); err != nil {
						t.Error(err)
					}
					return len(b), nil
				}}
			})
			c := s.dial(t)
			io.WriteString(c, "x")
			b, err := io.ReadAll(c) // until the FIN
			if err != nil || len(b) != test.output {
				t.Errorf("%d bytes, want %d, and %v", len(b), test.output, err)
			}
			c.CloseWrite()
			if err := receive(t, "end", ended); err != engine.ErrPeerClosed {
				t.Errorf("the connection ended with %v", err)
			}
		})
	}
}

// TestMoveAfterFin: the FIN was sent before.
func TestMoveAfterFin(t *testing.T) {
	ended := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		c.CloseWrite()
		return &proto{feed: func(b []byte) (int, error) {
			return len(b), c.MoveTo(1-c.Loop(), func(c *engine.Conn) engine.Protocol {
				c.Write([]byte("late"))
				return &proto{closed: func(err error) { ended <- err }}
			})
		}}
	})
	c := s.dial(t)
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(c, "x")
	c.CloseWrite()
	if err := receive(t, "end", ended); err != engine.ErrPeerClosed {
		t.Errorf("the connection ended with %v", err)
	}
}
