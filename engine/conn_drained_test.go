package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// drainer is a Protocol that counts calls of Drained and Flushed.
type drainer struct {
	proto
	drained, flushed int
}

func (d *drainer) Drained() { d.drained++ }

// TestDrainedAfterOverHighWater: who has seen OverHighWater waits for Drained, also if the queue is
// written, or dropped, before the loop has looked at it again.
func TestDrainedAfterOverHighWater(t *testing.T) {
	for _, tt := range []struct {
		name string
		add  func(c *engine.Conn)                 // makes the queue exceed the high watermark
		then func(c *engine.Conn, peer *sim.Peer) // makes it shorter, in the same turn
	}{
		{"writable", func(c *engine.Conn) { c.Write(make([]byte, 100<<10)) },
			func(c *engine.Conn, peer *sim.Peer) {
				for peer.Recv(1<<20) != nil {
				}
				engine.ReportWritable(c)
			}},
		{"dropped", func(c *engine.Conn) { c.WriteShared(make([]byte, 100<<10), engine.SlowDropOldest) },
			func(c *engine.Conn, peer *sim.Peer) {
				c.Engine().InTurn(0, func() { c.WriteShared([]byte("new"), engine.SlowDropOldest) })
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &drainer{proto: proto{feed: func(b []byte) (int, error) { return len(b), nil }}}
			var c *engine.Conn
			s := onSim(t, sim.Config{Seed: 1, Buffer: 256 << 10}, engine.Config{Loops: 1},
				func(n *engine.Conn) engine.Protocol {
					c = n
					return d
				})
			peer := s.net.Dial(s.ln.Addr())
			if !s.until(t, time.Second, func() bool { return c != nil }) {
				t.Fatal("no connection")
			}
			s.InTurn(0, func() {
				for c.Pressure() == engine.Sent {
					c.Write(make([]byte, 16<<10))
				}
			})
			s.until(t, time.Second, func() bool { return false })
			s.InTurn(0, func() {
				tt.add(c)
				if p := c.Pressure(); p != engine.OverHighWater {
					t.Errorf("pressure %d", p)
				}
			})
			tt.then(c, peer)
			if !s.until(t, time.Minute, func() bool { peer.Recv(1 << 20); return c.Pressure() == engine.Sent }) {
				t.Fatal("the queue is not written")
			}
			s.until(t, time.Second, func() bool { return d.drained > 0 })
			if d.drained != 1 {
				t.Errorf("Drained was called %d times", d.drained)
			}
		})
	}
}

// Flushed makes it a Flusher.
func (d *drainer) Flushed() { d.flushed++ }

// TestFlushedAfterDropOldest: the kernel has refused a message, which is dropped in the same turn.
func TestFlushedAfterDropOldest(t *testing.T) {
	const room = 100 << 10
	d := &drainer{proto: proto{feed: func(b []byte) (int, error) { return len(b), nil }}}
	var c *engine.Conn
	s := onSim(t, sim.Config{Seed: 1, Buffer: room}, engine.Config{Loops: 1}, func(n *engine.Conn) engine.Protocol {
		c = n
		return d
	})
	peer := s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return c != nil }) {
		t.Fatal("no connection")
	}
	message := make([]byte, room)
	s.InTurn(0, func() {
		for c.Pressure() == engine.Sent {
			c.WriteShared(message, engine.SlowDropOldest)
		}
		if n := c.Outbound(); n != room {
			t.Fatalf("%d bytes wait", n)
		}
		for peer.Recv(1<<20) != nil {
		}
		c.WriteShared([]byte("new"), engine.SlowDropOldest)
	})
	if !s.until(t, time.Minute, func() bool { peer.Recv(1 << 20); return c.Pressure() == engine.Sent }) {
		t.Fatal("the queue is not written")
	}
	if s.until(t, time.Second, func() bool { return d.flushed > 0 }); d.flushed != 1 || d.drained != 1 {
		t.Errorf("Flushed was called %d times, and Drained %d times", d.flushed, d.drained)
	}
}
