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
		e.move() // an error means that it is closing
	}
	return n, err
}

// move goes to any loop.
func (e *movingEcho) move() error {
	rng := e.rng
	return e.conn.MoveTo(rng.IntN(e.run.eng.Loops()), func(c *engine.Conn) engine.Protocol {
		if c == nil {
			return nil
		}
		next := newMovingEcho(e.run, c)
		next.rng = rng
		return next
	})
}

// ReadClosed closes the connection, or half of it: then the next one is told of the peer's FIN,
// too, or the peer, which has ours, is gone.
func (e *movingEcho) ReadClosed() {
	if e.rng.IntN(2) == 0 {
		e.called("ReadClosed")
		e.conn.CloseWrite() // the peer sees the end of its echo all the same
		if e.move() == nil {
			return
		}
	}
	e.tcpEcho.ReadClosed()
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
