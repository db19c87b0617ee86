package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestHandoverTakesThoseThatChangeLoops: a connection that comes to a loop which has given away all
// that it had moves too, as long as another loop waits for some of its own. It was shut down.
func TestHandoverTakesThoseThatChangeLoops(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover, Patience: patience}
	c := engine.Config{Loops: 2}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(200*time.Millisecond, func() { c.MoveTo(1-c.Loop(), newMover) })
		return &mover{c: c}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	eventually(t, "accepted connection", func() bool { return stats(t, g.Engine).Connections == 1 })
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 1)
}
