package engine_test

import (
	"io"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// postedBatches is a protocol between processes that only keeps what is posted.
type postedBatches chan *protocol.Batch

func (p postedBatches) Post(b *protocol.Batch) error {
	p <- b
	return nil
}

func (p postedBatches) Finish() {}

// TestThawedConnectionKeepsOrder: what was posted to a connection while it was frozen comes before
// what is posted later, also if the loop needs several turns for the end of the batch. It came
// behind that.
func TestThawedConnectionKeepsOrder(t *testing.T) {
	const others = 60
	for _, test := range []struct {
		name string
		send func(engine.Handle, string)
	}{
		{"Send", func(h engine.Handle, s string) { h.Send([]byte(s)) }},
		{"Each", func(h engine.Handle, s string) {
			engine.Each(func(yield func(engine.Handle) bool) { yield(h) },
				func(c *engine.Conn) { c.Write([]byte(s)) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			var last engine.Handle // which the batch begins with
			closed := 0
			g := begin(t, h, engine.Config{Loops: 1}, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
				last = c.Handle()
				return &mover{c: c, closed: func(error) {
					if closed++; closed == 1 {
						test.send(last, "2")
					}
					for begin := time.Now(); time.Since(begin) < time.Millisecond; {
					}
				}}
			})
			go g.Engine.Run(t.Context())
			<-g.Started()
			for range others {
				pos := uint64(0)
				talk(t, dialTo(t, g.ln.String()), &pos, 1)
			}
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			posted := make(postedBatches, 1)
			giving := g.BeginGiving(g.h, posted)
			b := receive(t, "batch", posted)
			frozen := last
			test.send(frozen, "1")
			turned := make(chan bool)
			g.Post(0, func() { close(turned) })
			<-turned
			for i := 1; i < len(b.Items); i++ {
				b.Taken.Add(i)
			}
			giving.Settled(b)
			got := make([]byte, 2)
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != "12" {
				t.Errorf("%q, %v", got, err)
			}
			giving.Abort()
			if err := giving.End(nil); err != nil {
				t.Error(err)
			}
		})
	}
}
