package engine

import (
	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// This file finds peers that take nothing: Config.WriteTimeout.
//
// That the kernel takes no more from us does not say that the peer stands still: it may be reading slowly from megabytes of
// the kernel's. So the kernel's own queue is looked at, too: a while after a connection was blocked, and then each time
// that the deadline has come. The outbound queue keeps since when it waits, and what was seen (buffer.Wait), in a chunk that it has
// anyway: a connection that waits for nothing has no room for it.

// stallLook is the part of the timeout after which the kernel's queue is looked at for the first time.
const stallLook = 8

// stallDeadline is when to look whether the peer has taken anything; 0: it does not have to.
func (c *Conn) stallDeadline() wheel.Tick {
	timeout := c.loop.config.WriteTimeout
	if c.flags&blocked == 0 || c.state != open || timeout <= 0 || c.out.Len() == 0 {
		return 0
	}
	w := c.out.Wait()
	if w.Seen == 0 {
		timeout /= stallLook
	}
	return max(wheel.Tick(w.Since)+ticks(timeout)+1, 1)
}

// checkStall ends a connection whose kernel queue is as it was at the last look.
func (c *Conn) checkStall() {
	l := c.loop
	w, now := c.out.Wait(), 1+uint32(l.sockets.Unacknowledged(int(c.fd)))
	if w.Seen == now {
		c.end(ErrWriteStall)
		return
	}
	*w = buffer.Wait{Since: uint32(l.tick), Seen: now}
}
