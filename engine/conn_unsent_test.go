package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestUnsentOfAWriteThatFailsIsTold: a large Write goes out at once. If that showed that the peer
// was gone, what it had accepted was lost without a word.
func TestUnsentOfAWriteThatFailsIsTold(t *testing.T) {
	small, large := make([]byte, 100), make([]byte, 32<<10)
	for _, test := range []struct {
		name  string
		write func(c *engine.Conn) (int, error)
	}{
		{"small", func(c *engine.Conn) (int, error) { return c.Write(small) }},
		{"large", func(c *engine.Conn) (int, error) { return c.Write(large) }},
		{"large behind small", func(c *engine.Conn) (int, error) {
			n, _ := c.Write(small)
			m, err := c.Write(large)
			return n + m, err
		}},
		{"large behind many small", func(c *engine.Conn) (n int, err error) {
			for range 100 {
				c.WriteShared(make([]byte, 200), engine.SlowWait)
				n += 200
			}
			m, err := c.Write(large)
			return n + m, err
		}},
		{"Writev of two", func(c *engine.Conn) (int, error) { return c.Writev(small, large) }},
		{"Writev of many", func(c *engine.Conn) (int, error) { return c.Writev(small, large, large, small) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var conn *engine.Conn
			var reason error
			s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				conn = c
				return &proto{feed: func(b []byte) (int, error) { return len(b), nil },
					closed: func(err error) { reason = err }}
			})
			p := s.net.Dial(s.ln.Addr())
			s.until(t, time.Second, func() bool { return conn != nil })
			p.Reset()
			accepted := 0
			s.InTurn(0, func() {
				n, err := test.write(conn)
				if err != nil {
					t.Error(err)
				}
				accepted = n
			})
			s.until(t, time.Second, func() bool { return reason != nil })
			var unsent *engine.UnsentError
			if !errors.As(reason, &unsent) || unsent.Bytes != accepted || !errors.Is(reason, engine.ErrReset) {
				t.Fatalf("closed with %v, %d bytes were accepted", reason, accepted)
			}
			if errors.As(unsent.Reason, &unsent) {
				t.Errorf("told twice: %v", reason)
			}
		})
	}
}
