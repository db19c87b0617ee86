package engine_test

import (
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestHandoverTakesThoseThatChangeLoops: a connection that comes to a loop which has given away all
// that it had moves too, as long as another loop waits for some of its own. It was shut down.
func TestHandoverTakesThoseThatChangeLoops(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *engine.Conn, to int) error
	}{
		{"MoveTo", func(c *engine.Conn, to int) error { return c.MoveTo(to, newMover) }},
		{"Adopt", func(c *engine.Conn, to int) error {
			return c.Release(func(nc net.Conn, unread, _ []byte, err error) {
				if err == nil {
					err = engine.AdoptConfig{Loop: &to}.Adopt(c.Engine(), nc, unread, newMover)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: patience}
			c := engine.Config{Loops: 2}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				c.AfterFunc(200*time.Millisecond, func() {
					if err := test.change(c, 1-c.Loop()); err != nil {
						t.Error(err)
					}
				})
				return &mover{c: c}
			})
			g.run()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			eventually(t, "accepted connection", func() bool { return stats(t, g.Engine).Connections == 1 })
			g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			talk(t, nc, &pos, 1)
		})
	}
}
