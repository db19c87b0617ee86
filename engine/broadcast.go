package engine

import (
	"iter"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// Broadcast writes b to every connection that is not closed by then: Each with WriteShared. It may be called from any
// goroutine, and copies nothing: b must not be changed any more.
func Broadcast(to iter.Seq[Handle], b []byte, slow SlowPolicy) {
	Each(to, func(c *Conn) { c.WriteShared(b, slow) }) // an error means closing; Closed tells
}

// eachTaskMax is how many connections one task of Each serves: as many as a turn runs tasks.
const eachTaskMax = tasksTurn

// Each has f called for every connection that is not closed by then, each on its own loop. It posts one task per loop
// and 256 connections, and allocates nothing per connection: this is what a broadcast stands on. f must be safe to be
// called by several loops at the same time; what it writes goes out when it returns. The order among the connections is
// not defined; for one connection, calls of Each by the same goroutine keep their order.
func Each(to iter.Seq[Handle], f func(*Conn)) {
	type batch struct {
		loop *loop
		n    *taskqueue.Node[task]
	}
	var batches []batch // one per loop: few, so that a search beats a map
	for h := range to {
		if h.Closed() {
			continue
		}
		i := 0
		for i < len(batches) && batches[i].loop != h.c.loop {
			i++
		}
		if i == len(batches) {
			batches = append(batches, batch{loop: h.c.loop})
		}
		b := &batches[i]
		if b.n == nil {
			b.n = newTask(eachTask)
			b.n.Value.each = f
		}
		b.n.Value.conns = append(b.n.Value.conns, h.c)
		if len(b.n.Value.conns) == eachTaskMax {
			b.loop.push(b.n) // the error: the loop has ended, and with it the connections
			b.n = nil
		}
	}
	for _, b := range batches {
		if b.n != nil {
			b.loop.push(b.n)
		}
	}
}
