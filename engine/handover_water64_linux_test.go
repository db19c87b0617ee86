//go:build amd64 || arm64

package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestLargeWatermarksMove: those above 2 GiB do not keep a connection from moving.
func TestLargeWatermarksMove(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1, MaxOutbound: 1 << 40, MaxBuffered: -1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.SetWatermarks(1<<40, 1<<39)
		return &mover{c: c}
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 1)
}
