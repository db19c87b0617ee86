package engine_test

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// careless is a mover whose Save does not append.
type careless struct {
	mover
	saves func(pos uint64) []byte
}

func (c *careless) Save(*engine.Conn, []byte) ([]byte, error) { return c.saves(c.pos), nil }

// TestSaveThatDoesNotAppend: a Save that forgets dst changes nothing for other connections. It
// ended the process, or mixed up their states.
func TestSaveThatDoesNotAppend(t *testing.T) {
	for _, test := range []struct {
		name  string
		saves func(pos uint64) []byte
		moves bool
	}{
		{"nil", func(uint64) []byte { return nil }, false},
		{"a byte", func(uint64) []byte { return []byte{1} }, false},
		{"its own", func(pos uint64) []byte { return binary.BigEndian.AppendUint64(nil, pos) }, true},
		{"large", func(uint64) []byte { return make([]byte, 300<<10) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			accepted := 0
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				if accepted++; accepted == 2 {
					return &careless{mover{c: c}, test.saves}
				}
				return &mover{c: c}
			})
			g.run()
			const clients = 3
			var pos [clients]uint64
			var conns [clients]net.Conn
			for i := range conns {
				conns[i] = dialTo(t, g.ln.String())
				talk(t, conns[i], &pos[i], 1+i)
			}
			g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			for i := range conns {
				if i != 1 || test.moves {
					talk(t, conns[i], &pos[i], 3)
				} else if n, err := conns[i].Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes on a connection that could not be loaded", n)
				}
			}
		})
	}
}

// TestQueueThatIsTooLarge: it was copied, in each look at those that could not move, to find that
// out.
func TestQueueThatIsTooLarge(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1, MaxOutbound: 100 << 20, Linger: 10 * time.Millisecond}
	var saved atomic.Int32
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.Write(make([]byte, 80<<20))
		return &mover{c: c, save: func() error {
			saved.Add(1)
			return nil
		}}
	})
	g.run()
	nc := dialTo(t, g.ln.String())
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if s := g.Handover(); s.Stayed["size"] != 1 || s.Moved != 0 || saved.Load() != 0 {
		t.Errorf("%+v, Save was called %d times", s, saved.Load())
	}
}
