package engine_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// turnMeter counts the calls of slow user code that a loop makes before it does anything else. Only
// its loop uses it, as long as that runs.
type turnMeter struct {
	engine              *engine.Engine
	calls, row, longest int
}

// run notes that the loop has done something else, once in a turn.
func (m *turnMeter) run() {
	m.row = 0
	m.engine.PostTurn(0, m.run) // an error means that the engine has ended
}

// slow is user code that takes its time.
func (m *turnMeter) slow() {
	spin(time.Millisecond)
	m.calls++
	m.row++
	m.longest = max(m.longest, m.row)
}

// TestHandoverWithSlowCallbacks: a loop leaves others their turn when Save, Load or Closed take
// long, as they do for connections with many subscriptions. It called them for a whole batch.
func TestHandoverWithSlowCallbacks(t *testing.T) {
	const clients = 100
	for _, slow := range []string{"Save", "Load", "Closed"} {
		t.Run(slow, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t)}
			c := engine.Config{Loops: 1}
			var m turnMeter
			only := func(name string) func() error {
				if name != slow {
					return nil
				}
				return func() error {
					m.slow()
					return nil
				}
			}
			h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
				if slow == "Load" {
					m.slow()
				}
				return loadMover(c, state)
			}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				p := &mover{c: c, save: only("Save")}
				if f := only("Closed"); f != nil {
					p.closed = func(error) { f() }
				}
				return p
			})
			g.run()
			for range clients {
				pos := uint64(0)
				talk(t, dialTo(t, g.ln.String()), &pos, 1)
			}
			offering(t, h.Path)
			next := begin(t, h, c, engine.ListenConfig{}, newMover)
			if m.engine = g.Engine; slow == "Load" {
				m.engine = next.Engine
			}
			m.engine.Post(0, m.run)
			next.run()
			receive(t, "end of the old engine", g.ran)
			eventually(t, "connections", func() bool { return stats(t, next.Engine).Connections == clients })
			next.Close()
			if m.calls != clients || m.longest > clients/4 {
				t.Errorf("%d calls, %d of them in a turn; want %d, and a few in a turn", m.calls, m.longest, clients)
			}
		})
	}
}

// TestFrozenConnectionsDoNotWaitForLongTurns: a loop that is overloaded has long turns, in which
// only the first of a batch were frozen. They were silent until it was full, many turns later.
func TestFrozenConnectionsDoNotWaitForLongTurns(t *testing.T) {
	const clients = 40
	h := engine.Handover{Path: handoverPath(t)}
	c := engine.Config{Loops: 1}
	var g *generation
	var turns, longest atomic.Int64
	var busy func()
	busy = func() {
		spin(10 * time.Millisecond)
		turns.Add(1)
		g.PostTurn(0, busy) // an error means that the engine has ended
	}
	var saved [clients + 1]atomic.Int64 // the turn in which a connection was frozen
	h.Load = func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		p, err := loadMover(c, state)
		if err == nil {
			longest.Store(max(longest.Load(), turns.Load()-saved[p.(*mover).pos/moverUnit].Load()))
		}
		return p, err
	}
	g = begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		m := &mover{c: c}
		m.save = func() error {
			spin(time.Millisecond)
			saved[m.pos/moverUnit].Store(turns.Load())
			return nil
		}
		return m
	})
	g.run()
	for i := range clients {
		pos := uint64(0)
		talk(t, dialTo(t, g.ln.String()), &pos, 1+i)
	}
	g.Post(0, busy)
	next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	eventually(t, "connections", func() bool { return stats(t, next.Engine).Connections == clients })
	if n := longest.Load(); n > clients/2 {
		t.Errorf("a connection was frozen for %d turns of the old loop", n)
	}
}

// spin keeps the processor busy.
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}
