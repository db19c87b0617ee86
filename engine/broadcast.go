package engine

import (
	"iter"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// Broadcast calls WriteShared on every connection of to that is not closed by then. It may be
// called from any goroutine, and under a lock: see Each. It does not copy b, which must not be
// changed afterwards.
func Broadcast(to iter.Seq[Handle], b []byte, slow SlowPolicy) {
	Each(to, func(c *Conn) { c.WriteShared(b, slow) }) // an error means that it is closing
}

// eachTaskMax is how many connections one task of Each serves: as many as a turn runs tasks.
const eachTaskMax = tasksTurn

// Each calls f for every connection of to that is not closed by then, on the connection's own loop.
// It may be called from any goroutine. It posts a task for each loop and each 256 of its
// connections, and allocates nothing per connection. Several loops call f at the same time. What f
// writes goes out when it returns.
//
// Each ranges over to before it returns. It does not wait for f, and calls no Protocol itself, so
// it may be called while holding a lock that protects to, even one that Protocols take.
//
// The order of the connections is undefined. For one connection, calls of Each and Broadcast by the
// same goroutine, or under the same lock, keep their order.
func Each(to iter.Seq[Handle], f func(*Conn)) {
	needFunc("Each", "f", f == nil)
	type batch struct {
		loop *loop
		n    *taskqueue.Node[task]
	}
	var batches []batch // one per loop: so few that a search is faster than a map
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
			b.loop.push(b.n) // an error means that the loop has ended, with its connections
			b.n = nil
		}
	}
	for _, b := range batches {
		if b.n != nil {
			b.loop.push(b.n)
		}
	}
}
