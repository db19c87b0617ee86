package engine_test

import (
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// TestWritevToFrozenConnectionIsWhole: of a Writev to a connection that was on its way to another
// process, only the first slice was queued, and then what was queued was dropped.
func TestWritevToFrozenConnectionIsWhole(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	var frozen *engine.Conn
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		frozen = c
		return newMover(c)
	})
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	taker := takeSilently(t, h.Path, 0)
	batch := receive(t, "batch", taker.got)
	wrote := make(chan int, 1)
	g.Post(0, func() {
		frozen.Write([]byte("0"))
		n, err := frozen.Writev([]byte("1"), []byte("2"), []byte("3"))
		if err != nil {
			t.Error(err)
		}
		wrote <- 1 + n
	})
	got := make([]byte, receive(t, "turn", wrote))
	taker.end(t, []*protocol.Incoming{batch})
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != "0123" {
		t.Errorf("%q, %v", got, err)
	}
	talk(t, nc, &pos, 5)
}
