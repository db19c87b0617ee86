package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// movingEcho is a tcpEcho that goes to another loop, or the same, now and then.
type movingEcho struct {
	*tcpEcho
	run *run
}

func newMovingEcho(r *run, c *engine.Conn) *movingEcho { return &movingEcho{newTCPEcho(r, c), r} }

func (e *movingEcho) Feed(b []byte) (int, error) {
	n, err := e.tcpEcho.Feed(b)
	if e.rng.IntN(6) == 0 {
		rng := e.rng
		// An error means that it is closing.
		e.conn.MoveTo(rng.IntN(e.run.eng.Loops()), func(c *engine.Conn) engine.Protocol {
			if c == nil {
				return nil
			}
			next := newMovingEcho(e.run, c)
			next.rng = rng
			return next
		})
	}
	return n, err
}

// TestSimulatedMoves: connections go from loop to loop in the middle of everything, and every byte
// comes back once, in order, with and without a layer.
func TestSimulatedMoves(t *testing.T) {
	s := tcpScenario
	s.moving = true
	s.accept = func(r *run) func(*engine.Conn) engine.Protocol {
		return func(c *engine.Conn) engine.Protocol { return newMovingEcho(r, c) }
	}
	simulate(t, seeds(t), func(tr *trial) error {
		s := s
		s.layered = tr.seed%2 == 0
		return s.run(tr)
	})
}
