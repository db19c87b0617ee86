package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// tcpEcho writes back what it reads, sometimes only a part, by Write, Writev, AvailableBuffer or
// Reserve, and plays with everything else that a Protocol may do on its way.
type tcpEcho struct {
	witness
	rng  *rand.Rand
	conn *engine.Conn
	own  []byte
}

// InputBuffer implements engine.Bufferer.
func (e *tcpEcho) InputBuffer(shared []byte) []byte {
	if e.rng.IntN(4) == 0 {
		return shared[:e.rng.IntN(len(shared))]
	}
	if e.own == nil {
		e.own = make([]byte, 16<<10)
	}
	return e.own[:e.rng.IntN(len(e.own))]
}

func newTCPEcho(r *run, c *engine.Conn) *tcpEcho {
	e := &tcpEcho{rng: r.source(int(c.RemoteAddr().Port())), conn: c}
	r.served = append(r.served, &e.witness)
	return e
}

func (e *tcpEcho) Feed(b []byte) (int, error) {
	e.called("Feed")
	n := len(b)
	if e.rng.IntN(4) == 0 { // leave some for later, but have it offered again
		n = e.rng.IntN(len(b) + 1)
		e.conn.PauseRead()
		e.conn.AfterFunc(time.Duration(e.rng.IntN(50))*time.Millisecond, e.conn.ResumeRead)
	}
	e.conn.SetGreedy(e.rng.IntN(2) == 0)
	out := b[:n]
	switch e.rng.IntN(4) {
	case 0:
		k := e.rng.IntN(len(out) + 1)
		e.conn.Writev(out[:k], out[k:])
	case 1:
		e.conn.Write(append(e.conn.AvailableBuffer(), out...))
	case 2:
		for len(out) > 0 {
			k := 1 + e.rng.IntN(len(out))
			if b := e.conn.Reserve(k); b != nil {
				e.conn.Commit(append(b, out[:k]...))
			} else {
				e.conn.Write(out[:k])
			}
			out = out[k:]
		}
	default:
		e.conn.Write(out)
	}
	return n, nil
}

// ReadClosed lets the queue drain: what the peer sent before its FIN comes back.
func (e *tcpEcho) ReadClosed() {
	e.called("ReadClosed")
	e.conn.Close()
}

func (e *tcpEcho) Drained() { e.called("Drained") }

// tcpClient sends a stream and expects it back.
type tcpClient struct {
	r              *run
	rng            *rand.Rand
	p              peer
	total          int
	sent, received int
	finish         int // 0 CloseWrite, 1 Reset, 2 Close
	finished       bool
	err            error
}

func newTCPClient(r *run, rng *rand.Rand) client {
	return &tcpClient{
		r: r, rng: rng, p: r.dial(), total: rng.IntN(1 << rng.IntN(16)), finish: max(0, rng.IntN(6)-3),
	}
}

func (c *tcpClient) step() {
	if c.sent < c.total && c.rng.IntN(3) > 0 {
		b := make([]byte, 1+c.rng.IntN(min(c.total-c.sent, 4096)))
		fillPattern(b, c.sent)
		c.sent += c.p.Send(b)
	}
	if c.sent == c.total && !c.finished && c.p.CanSend() {
		c.finished = true
		switch c.finish {
		case 0:
			c.p.CloseWrite()
		case 1:
			c.p.Reset()
		case 2:
			c.p.Close()
		}
	}
	b := c.p.Recv(c.rng.IntN(5000))
	if !isPattern(b, c.received) {
		c.err = fmt.Errorf("from byte %d on it got something else (%x)", c.received, b)
		return
	}
	c.received += len(b)
}

func (c *tcpClient) fail() error {
	switch {
	case c.err != nil:
		return c.err
	case c.received > c.sent:
		return fmt.Errorf("%d bytes came back of %d", c.received, c.sent)
	case c.p.EOF() && !c.p.Faulted() && c.finish == 0 && c.received != c.total:
		return fmt.Errorf("a clean EOF after %d bytes of %d", c.received, c.total)
	case c.p.Err() != nil && !c.p.Faulted() && !c.finished && c.r.net.Counts().NoMemory == 0 && !c.r.late():
		return fmt.Errorf("the server broke the connection: %w", c.p.Err())
	}
	return nil
}

func (c *tcpClient) moved() int { return c.sent + c.received }

func (c *tcpClient) leave() { c.p.Close() }

func (c *tcpClient) done() bool {
	return c.p.EOF() || c.p.Err() != nil || c.finished && c.finish > 0
}

var tcpScenario = scenario{
	accept: func(r *run) func(*engine.Conn) engine.Protocol {
		return func(c *engine.Conn) engine.Protocol { return newTCPEcho(r, c) }
	},
	client: newTCPClient,
}

func TestSimulatedTCPEcho(t *testing.T) { simulate(t, seeds(t), tcpScenario.run) }
