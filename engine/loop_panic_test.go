package engine_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestPanicHurtsOneConnection: in every call that a user's code gets.
func TestPanicHurtsOneConnection(t *testing.T) {
	boom := errors.New("boom")
	for _, place := range []string{"accept", "Feed", "Posted", "AfterFunc", "Post", "Closed"} {
		t.Run(place, func(t *testing.T) {
			reasons := make(chan error, 1)
			var victim atomic.Bool
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				if victim.Swap(false) {
					if place == "accept" {
						panic(boom)
					}
					return &victimProto{conn: c, place: place, boom: boom, reasons: reasons}
				}
				return echoOn(c)
			})
			bystander := s.dial(t)
			ask(t, bystander, "before")
			victim.Store(true)
			c := s.dial(t)
			io.WriteString(c, "x")
			io.Copy(io.Discard, c) // until it is closed
			c.Close()
			if place != "accept" && place != "Closed" {
				var p *engine.PanicError
				if err := receive(t, "reason", reasons); !errors.As(err, &p) || !errors.Is(err, boom) ||
					len(p.Stack) == 0 {
					t.Fatalf("reason %v", err)
				}
			}
			ask(t, bystander, "after")
			ask(t, s.dial(t), "a new one")
			eventually(t, "log of the panic", func() bool { return strings.Contains(s.log.String(), "boom") })
		})
	}
}

type victimProto struct {
	conn    *engine.Conn
	place   string
	boom    error
	reasons chan error
}

func (v *victimProto) Feed(b []byte) (int, error) {
	switch v.place {
	case "Feed":
		panic(v.boom)
	case "Posted":
		v.conn.Handle().PostBytes(7, []byte("x"))
	case "AfterFunc":
		v.conn.AfterFunc(time.Millisecond, func() { panic(v.boom) })
	case "Post":
		v.conn.Handle().Post(func(*engine.Conn) { panic(v.boom) })
	case "Closed":
		v.conn.Close()
	}
	return len(b), nil
}

func (v *victimProto) Posted(tag uint32, b []byte) {
	if tag == 7 && string(b) == "x" {
		panic(v.boom)
	}
}

func (v *victimProto) Closed(err error) {
	if v.place == "Closed" {
		panic(v.boom)
	}
	v.reasons <- err
}

// TestGoexitInHandlerKeepsLoop: t.FailNow in a callback, say, ends its goroutine.
func TestGoexitInHandlerKeepsLoop(t *testing.T) {
	var first atomic.Bool
	first.Store(true)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		if first.Swap(false) {
			runtime.Goexit()
		}
		return echoOn(c)
	})
	io.Copy(io.Discard, s.dial(t))
	ask(t, s.dial(t), "alive")
}

// TestPanicWithinGoexitKeepsLoop: a deferred function that panics while runtime.Goexit ends the
// goroutine hid that. The loop was gone for good, and the engine did not end any more.
func TestPanicWithinGoexitKeepsLoop(t *testing.T) {
	both := func() {
		defer func() { panic("in a deferred function") }()
		runtime.Goexit()
	}
	recovering := func(c *engine.Conn) *reentrant {
		return &reentrant{conn: c, closed: make(chan error, 1), recovered: both}
	}
	for _, test := range []struct {
		name   string
		accept func(*engine.Conn) engine.Protocol
	}{
		{"accept", func(*engine.Conn) engine.Protocol {
			both()
			return nil
		}},
		{"Closed", func(c *engine.Conn) engine.Protocol {
			c.Close()
			return &proto{closed: func(error) { both() }}
		}},
		{"Recovered", func(c *engine.Conn) engine.Protocol { return recovering(c) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var first atomic.Bool
			first.Store(true)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				if first.Swap(false) {
					return test.accept(c)
				}
				return echoOn(c)
			})
			c := s.dial(t)
			io.WriteString(c, "x")
			io.Copy(io.Discard, c)
			c.Close()
			ask(t, s.dial(t), "alive")
		})
	}
}
