package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// stormMessage is the length of every message: what comes back is an echo of the whole ones.
const stormMessage = 64

// stormEcho has timers of all kinds, so that a connection that ends at any time leaves something to
// clean up.
type stormEcho struct {
	witness
	conn  *engine.Conn
	tired bool // of waiting for the client
}

func (e *stormEcho) Feed(b []byte) (int, error) {
	e.called("Feed")
	n := len(b) - len(b)%stormMessage
	e.conn.Write(b[:n])
	return n, nil
}

func (e *stormEcho) Idle() bool {
	e.called("Idle")
	e.tired = true
	return false
}

// stormClient is a tcpClient that ends its stream by a FIN, after whole messages or in the middle
// of one, by a reset, by Close, or not at all.
type stormClient struct {
	tcpClient
	servers map[uint16]*stormEcho
	silent  bool          // says no more and stays, until the server has enough of it
	ended   time.Duration // its own part
}

func newStormClient(r *run, rng *rand.Rand, servers map[uint16]*stormEcho) client {
	c := &stormClient{servers: servers}
	c.tcpClient = tcpClient{r: r, rng: rng, p: r.net.Dial(r.ln.Addr()), total: rng.IntN(20 * stormMessage)}
	switch rng.IntN(5) {
	case 0:
		c.total -= c.total % stormMessage
	case 1: // the FIN comes in the middle of a message
	case 2:
		c.finish = 1
	case 3:
		c.finish = 2
	case 4:
		c.finish, c.silent = 3, true
	}
	return c
}

func (c *stormClient) step() {
	c.tcpClient.step()
	if !c.finished {
		c.ended = c.r.net.Now()
	}
}

func (c *stormClient) done() bool {
	return c.p.EOF() || c.p.Err() != nil || c.finished && c.finish > 0 && !c.silent
}

// fail: whoever half-closed has all whole messages back, unless there is a reason.
func (c *stormClient) fail() error {
	server := c.servers[c.p.Local().Port()]
	switch {
	case c.err != nil:
		return c.err
	case c.received > whole(c.sent):
		return fmt.Errorf("%d bytes came back of %d", c.received, c.sent)
	case server == nil: // refused: no descriptor
	case server.tired: // the clock has jumped
	case c.finish > 0, c.p.Faulted(), c.r.net.Counts().NoMemory > 0:
	case c.p.EOF() && c.received != whole(c.total):
		return fmt.Errorf("a clean EOF after %d bytes of %d", c.received, c.total)
	case c.p.Err() != nil && c.r.net.Now()-c.ended < linger:
		return fmt.Errorf("the server broke the connection: %w", c.p.Err())
	}
	return nil
}

func whole(bytes int) int { return bytes - bytes%stormMessage }

// TestSimulatedStorm: of a thousand clients many are rude, and there are descriptors for few.
// Whoever is served is served in full, and nothing of anybody is left.
func TestSimulatedStorm(t *testing.T) {
	tally := map[string]int{"descriptors were short": 0, "clients were refused": 0, "clients had all": 0,
		"idle timeouts": 0,
		"resets":        0, "ends by the peer": 0}
	simulate(t, max(2, seeds(t)/200), func(tr *trial) error {
		servers := map[uint16]*stormEcho{} // by the client's port
		s := scenario{crowd: 1000, descriptors: 120}
		s.accept = func(r *run) func(*engine.Conn) engine.Protocol {
			return func(c *engine.Conn) engine.Protocol {
				c.SetIdleTimeout(5 * time.Second)
				c.SetTimeout(time.Hour)
				c.AfterFunc(time.Hour, func() {})
				e := &stormEcho{conn: c}
				r.served = append(r.served, &e.witness)
				servers[c.RemoteAddr().Port()] = e
				return e
			}
		}
		s.client = func(r *run, rng *rand.Rand) client { return newStormClient(r, rng, servers) }
		s.ended = func(r *run) error {
			stats := r.eng.StatsNow()
			tally["descriptors were short"] += r.net.Counts().Shortages
			tally["clients were refused"] += int(stats.Refused[engine.RefusedDescriptors])
			tally["idle timeouts"] += int(stats.Closed[engine.CauseTimeout])
			tally["resets"] += int(stats.Closed[engine.CauseReset])
			tally["ends by the peer"] += int(stats.Closed[engine.CausePeer])
			unserved := 0
			for _, c := range r.clients {
				switch c, ok := c.(*stormClient); {
				case !ok || c.finish > 0 || c.p.Faulted() || r.net.Counts().NoMemory > 0:
				case servers[c.p.Local().Port()] == nil:
					unserved++
				case c.p.EOF() && c.received > 0 && c.received == whole(c.total):
					tally["clients had all"]++
				}
			}
			if refused := int(stats.Refused[engine.RefusedDescriptors]); unserved > refused {
				return fmt.Errorf("%d clients got no connection, %d were refused", unserved, refused)
			}
			return nil
		}
		return s.run(tr)
	})
	t.Log(tally)
	if _, replay := number(t, "MYRIAD_SEED"); replay {
		return
	}
	for what, n := range tally {
		if n == 0 {
			t.Errorf("%s: never", what)
		}
	}
}
