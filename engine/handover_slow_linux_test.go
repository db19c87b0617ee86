package engine_test

import (
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
	for begin := time.Now(); time.Since(begin) < time.Millisecond; {
	}
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
