package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestEndWithALongQueueDoesNotHoldTheLoop: what waits for a peer in small shared messages was given
// back at once when its connection ended. That took 8 ms for each of 90,000 messages, and all peers
// may reset their connections at the same time.
func TestEndWithALongQueueDoesNotHoldTheLoop(t *testing.T) {
	const messages = 100_000
	message := make([]byte, 100)
	before, after, buffered := make(chan int, 1), make(chan int, 1), make(chan int, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		p := echoOn(c)
		c.Handle().Post(func(c *engine.Conn) {
			for range messages {
				if err := c.WriteShared(message, engine.SlowWait); err != nil {
					t.Error(err)
				}
			}
			before <- engine.ChunksOut(c)
			c.Abort()
		})
		p.closed = func(error) {
			after <- engine.ChunksOut(c)
			buffered <- engine.BytesHeld(c)
		}
		return p
	})
	s.dial(t)
	had, has := receive(t, "queue", before), receive(t, "end", after)
	if had < messages/4 || had-has > 1000 {
		t.Errorf("%d chunks were out, and %d when Closed was called", had, has)
	}
	if n := receive(t, "account", buffered); n > len(message)+100 { // until all is swept
		t.Errorf("%d bytes still count", n)
	}
	eventually(t, "chunks", func() bool {
		left := make(chan error, 1)
		s.Post(0, func() { left <- s.Left(0) })
		return <-left == nil
	})
}
