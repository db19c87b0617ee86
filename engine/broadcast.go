package engine

import (
	"iter"
	"runtime"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// Broadcast calls WriteShared on every connection of to that is not closed by then. It may be
// called from any goroutine, and under a lock: see Each. It does not copy b, which must not be
// changed afterwards. The error is that of EachSized, with the size of b.
func Broadcast(to iter.Seq[Handle], b []byte, slow SlowPolicy) error {
	// An error of WriteShared means that the connection is closing.
	return EachSized(to, len(b), func(c *Conn) { c.WriteShared(b, slow) })
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
//
// The error is ErrBusy if too much waits for a loop (Config.MaxPosted). Then f is not called for
// some connections of that loop, and for those of other loops it is.
func Each(to iter.Seq[Handle], f func(*Conn)) error { return EachSized(to, 0, f) }

// EachSized is Each for an f that keeps size bytes in memory until it was called, such as a message
// to send: for Config.MaxPosted they count once for each loop and each 256 of its connections.
func EachSized(to iter.Seq[Handle], size int, f func(*Conn)) (err error) {
	needFunc("Each", "f", f == nil)
	type batch struct {
		loop *loop
		n    *taskqueue.Node[task]
	}
	push := func(b *batch) {
		if b.loop.charge(b.n, size+closureCost, true) != nil {
			err = ErrBusy
		} else {
			b.loop.pushCharged(b.n) // an error means that the loop has ended, with its connections
		}
		b.n = nil
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
			b.n = newEachTask()
			b.n.Value.each = f
		}
		b.n.Value.conns = append(b.n.Value.conns, h.c)
		if len(b.n.Value.conns) == eachTaskMax {
			push(b)
			runtime.Gosched() // so that on a single processor the loops begin
		}
	}
	for i := range batches {
		if b := &batches[i]; b.n != nil {
			push(b)
		}
	}
	return err
}
