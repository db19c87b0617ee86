package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestEarlyFlushKeepsTheRest: when a turn touches many connections, the first are written early.
// What else had happened to one of them was forgotten: the loop went on polling for a connection
// that was paused, and a new Protocol did not hear of the peer's FIN.
func TestEarlyFlushKeepsTheRest(t *testing.T) {
	const peers = 150
	for _, test := range []struct {
		name  string
		fin   bool
		touch func(*engine.Conn)
	}{
		{"pause", false, (*engine.Conn).PauseRead},
		{"half-closed, new Protocol", true, func(c *engine.Conn) { c.SetProtocol(&halfClosed{conn: c}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var conns []*engine.Conn
			s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				conns = append(conns, c)
				return &halfClosed{conn: c}
			})
			var all []*sim.Peer
			for range peers {
				all = append(all, s.net.Dial(s.ln.Addr()))
			}
			if !s.until(t, time.Second, func() bool { return len(conns) == peers }) {
				t.Fatalf("%d connections", len(conns))
			}
			first := conns[0]
			told := func() bool { return !test.fin || first.Protocol().(*halfClosed).told }
			if test.fin {
				all[0].CloseWrite()
			}
			if !s.until(t, time.Second, told) {
				t.Fatal("the first Protocol does not hear of the FIN")
			}
			done := false
			s.Post(0, func() {
				test.touch(first)
				for _, c := range conns {
					c.Write([]byte("x"))
				}
				done = true
			})
			if !s.until(t, time.Second, func() bool { return done && told() }) {
				t.Error("the new Protocol does not hear of the FIN")
			}
		})
	}
}

// halfClosed goes on after the peer's FIN.
type halfClosed struct {
	conn *engine.Conn
	told bool
}

func (p *halfClosed) Feed(b []byte) (int, error) { return len(b), nil }
func (p *halfClosed) ReadClosed()                { p.told = true }
func (p *halfClosed) Closed(error)               {}

// TestHeldMayPanic: the method of a Holder costs its connection, not the process.
func TestHeldMayPanic(t *testing.T) {
	closed := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1, MaxBuffered: 100_000}, func(c *engine.Conn) engine.Protocol {
		return &panicHolder{proto{
			feed:   func(b []byte) (int, error) { c.AddHeld(1 << 20); return len(b), nil },
			closed: func(err error) { c.AddHeld(-1 << 20); closed <- err },
		}}
	})
	c := s.dial(t)
	c.Write([]byte("x"))
	var p *engine.PanicError
	if err := receive(t, "end", closed); !errors.As(err, &p) || p.Value != "held" {
		t.Errorf("closed with %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}

type panicHolder struct{ proto }

func (p *panicHolder) Held() int { panic("held") }
