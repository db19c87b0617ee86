package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// buffered is a Protocol with a buffer of its own, which it says it has from the first byte on.
type buffered struct {
	conn *engine.Conn
	own  []byte
	fed  chan bool // was it fed from its own buffer?
}

func (p *buffered) InputBuffer([]byte) []byte { return p.own }

func (p *buffered) Feed(b []byte) (int, error) {
	p.fed <- len(p.own) > 0 && &b[0] == &p.own[0]
	switch string(b) {
	case "on":
		p.conn.SetGreedy(true)
	case "off":
		p.conn.SetGreedy(false)
	case "swap":
		p.conn.SetProtocol(&buffered{conn: p.conn, own: p.own, fed: p.fed})
	case "none":
		p.own = p.own[:0]
	}
	return len(b), nil
}

func (p *buffered) Closed(error) {}

// TestInputBuffer: the loop reads to where the Protocol says, while it says so.
func TestInputBuffer(t *testing.T) {
	fed := make(chan bool, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &buffered{conn: c, own: make([]byte, 8<<10), fed: fed}
	})
	c := s.dial(t)
	for i, step := range []struct {
		send string
		own  bool
	}{
		{"x", false}, {"on", false}, {"x", true}, {"x", true}, {"off", true}, {"x", false},
		{"on", false}, {"swap", true}, {"x", false}, {"on", false}, {"none", true}, {"x", false},
	} {
		c.Write([]byte(step.send))
		if own := receive(t, "Feed", fed); own != step.own {
			t.Errorf("step %d, %q: read to the Protocol's own buffer: %v", i, step.send, own)
		}
	}
}
