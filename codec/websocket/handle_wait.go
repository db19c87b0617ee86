package websocket

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine"
)

// SendWait sends a message from a goroutine that produces faster than the peer may take it. It
// returns when the connection has taken the message, and before that waits as long as the peer does
// not keep up: from engine.OverHighWater to Drained, and while another message is sent piece by
// piece. However many goroutines wait, no more than one message of each is in memory: its own. data
// is not copied meanwhile, and belongs to the caller again when SendWait returns.
//
// The error is engine.ErrClosed if the connection is closing or closed, or the cause of ctx's end,
// or as that of Conn.Send. Then the message was not sent. A nil error does not mean that the peer
// has got it: see Conn.Send.
//
// On a loop, which it would wait for, it returns engine.ErrOnLoop.
func (h Handle) SendWait(ctx context.Context, op Opcode, data []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := checkOpcode(op); err != nil {
		return err
	}
	if h.c == nil {
		return engine.ErrClosed
	}
	if h.c.conn.Engine().OnLoop() {
		return engine.ErrOnLoop
	}
	w := waiters.Get().(*waiter)
	w.op, w.data = op, data
	w.state.Store(waits)
	if !ends.add(h.c, &w.ending) {
		return engine.ErrClosed
	}
	err := h.engine().Post(w.run)
	if err == nil {
		err = w.wait(ctx, h)
	}
	w.data = nil
	// Otherwise others may still look at w.
	if ends.remove(h.c, &w.ending) && w.state.Load() != cancelled {
		waiters.Put(w)
	}
	return err
}

// waiter is a message that SendWait sends.
type waiter struct {
	ending
	op       Opcode
	data     []byte
	state    atomic.Uint32
	done     chan error
	run      func(*engine.Conn)
	from, to *waiter // its neighbours in rare.waiters
}

const (
	waits     = iota
	taken     // by the loop, which sends to done
	cancelled // by ctx
)

var waiters = sync.Pool{New: func() any {
	w := &waiter{done: make(chan error, 1)}
	w.run = func(ec *engine.Conn) {
		if p, ok := ec.Protocol().(*protocol); ok {
			(*Conn)(p).queue(w)
		}
	}
	w.ending.f = func() {
		if w.state.CompareAndSwap(waits, taken) {
			w.done <- engine.ErrClosed
		}
	}
	return w
}}

// wait returns when the loop has taken w, the connection has ended, or ctx has.
func (w *waiter) wait(ctx context.Context, h Handle) error {
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		if !w.state.CompareAndSwap(waits, cancelled) {
			return <-w.done // the loop is at it
		}
		h.engine().Post(func(*engine.Conn) { h.c.dequeue(w) })
		return context.Cause(ctx)
	}
}

// queue sends w, or keeps it until the peer has caught up.
func (c *Conn) queue(w *waiter) {
	if (c.rare == nil || c.rare.waiters == nil) && !c.mustWait() {
		c.sendWaiter(w)
		return
	}
	r := c.makeRare()
	if w.from = r.last; w.from != nil {
		w.from.to = w
	} else {
		r.waiters = w
	}
	r.last = w
	c.sendWaiting()
}

// dequeue forgets w, which was cancelled.
func (c *Conn) dequeue(w *waiter) {
	r := c.rare
	if r == nil || w.from == nil && r.waiters != w {
		return // it is not queued
	}
	r.unlink(w)
	if r.empty() {
		c.freeRare()
	}
}

// unlink takes w out of the list. There may be very many: each step takes the same time.
func (r *rare) unlink(w *waiter) {
	if w.from != nil {
		w.from.to = w.to
	} else {
		r.waiters = w.to
	}
	if w.to != nil {
		w.to.from = w.from
	} else {
		r.last = w.from
	}
	w.from, w.to = nil, nil
}

// waitingPart is the work of what sendWaiting sends at a time, in bytes: see countWork.
const waitingPart = 1 << 20

// sendWaiting sends the messages that wait, until the peer does not keep up. If nothing can be sent
// any more, they all fail. There may be very many, and take long to compress: then the rest is
// posted.
func (c *Conn) sendWaiting() {
	r := c.rare
	if r == nil || r.waiters == nil {
		return
	}
	for work := 0; r.waiters != nil && !c.mustWait(); {
		if work > waitingPart && c.flags&closeSent == 0 {
			c.Handle().Post((*Conn).sendWaiting) // an error: it is closed
			return
		}
		w := r.waiters
		r.unlink(w)
		n := c.sendWaiter(w)
		if work += waitingCost + n; c.packs(n) {
			work += c.packWork(n, c.takesOver())
		}
	}
	if r.empty() {
		c.freeRare()
	}
}

// waitingCost is the work of a message that waits, however small it is.
const waitingCost = 1 << 10

// sendWaiter sends w, unless that is cancelled, and returns its size.
func (c *Conn) sendWaiter(w *waiter) (n int) {
	if w.state.CompareAndSwap(waits, taken) {
		n = len(w.data)
		w.done <- c.send(w.op, w.data, false)
	}
	return n
}

func (c *Conn) mustWait() bool {
	return c.flags&closeSent == 0 && (c.flags&sending != 0 || c.conn.Pressure() == engine.OverHighWater)
}
