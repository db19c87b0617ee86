package engine_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestUnfilledReserveIsNotSent: a callback that panics before it has filled what it reserved must
// not send what the chunk was used for before, which may be another connection's.
func TestUnfilledReserveIsNotSent(t *testing.T) {
	for _, place := range []string{"Reserve", "AvailableBuffer"} {
		t.Run(place, func(t *testing.T) {
			secret := strings.Repeat("secret ", 1000)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (int, error) {
					if b[0] == 's' {
						c.Write([]byte(secret))
						return len(b), nil
					}
					c.Write([]byte("x"))
					if place == "Reserve" {
						if c.Reserve(1000) == nil {
							t.Error("nothing to reserve in")
						}
					} else {
						_ = append(c.AvailableBuffer(), make([]byte, 10)...)
					}
					return int(b[len(b)]), nil // panics
				}}
			})
			victim := s.dial(t)
			io.WriteString(victim, "s")
			if _, err := io.ReadFull(victim, make([]byte, len(secret))); err != nil {
				t.Fatal(err)
			}
			attacker := s.dial(t)
			io.WriteString(attacker, "a")
			if got, err := io.ReadAll(attacker); err != nil || string(got) != "x" {
				t.Errorf("got %d bytes, %.40q, %v, want x", len(got), got, err)
			}
		})
	}
}

// TestCommitOfSomethingElsePanics: the bytes would be lost.
func TestCommitOfSomethingElsePanics(t *testing.T) {
	for name, commit := range map[string]func(c *engine.Conn){
		"too long":          func(c *engine.Conn) { c.Commit(append(c.Reserve(1), "ab"...)) },
		"another buffer":    func(c *engine.Conn) { c.Commit([]byte("a")) },
		"nothing":           func(c *engine.Conn) { c.Commit(c.Reserve(1)) },
		"written meanwhile": func(c *engine.Conn) { b := c.Reserve(1); c.Write([]byte("x")); c.Commit(append(b, 'a')) },
	} {
		t.Run(name, func(t *testing.T) {
			reasons := make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{
					feed: func(b []byte) (int, error) {
						c.Write([]byte("x"))
						commit(c)
						return len(b), nil
					},
					closed: func(err error) { reasons <- err },
				}
			})
			c := s.dial(t)
			io.WriteString(c, "go")
			io.Copy(io.Discard, c)
			c.Close()
			var p *engine.PanicError
			if err := receive(t, "reason", reasons); !errors.As(err, &p) {
				t.Errorf("reason %v", err)
			}
		})
	}
}

// TestReservedBytesGoOutInOrder: with what Write took before and after, and nothing can be reserved
// where nothing can be written.
func TestReservedBytesGoOutInOrder(t *testing.T) {
	var c *engine.Conn
	feed := func(b []byte) (int, error) {
		if c.Reserve(1) != nil {
			t.Error("room before there is a cork")
		}
		reserved := 0
		for i := range 40_000 {
			if r := c.Reserve(3); r != nil {
				c.Commit(append(r, byte(i), byte(i>>8), 0))
				reserved++
				continue
			}
			c.Write([]byte{byte(i), byte(i >> 8), 0})
		}
		if reserved < 30_000 {
			t.Errorf("%d of 40,000 were reserved", reserved)
		}
		c.Close()
		if c.Reserve(1) != nil {
			t.Error("room behind Close")
		}
		return len(b), nil
	}
	s := serve(t, engine.Config{Loops: 1}, func(conn *engine.Conn) engine.Protocol {
		c = conn
		return &proto{feed: feed}
	})
	client := s.dial(t)
	client.Write([]byte("go"))
	var want []byte
	for i := range 40_000 {
		want = append(want, byte(i), byte(i>>8), 0)
	}
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, or other ones: %v", len(got), len(want), err)
	}
}
