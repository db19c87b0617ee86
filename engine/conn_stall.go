package engine

import (
	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// This file implements Config.WriteTimeout: it finds peers that take nothing.
//
// When the kernel takes no more bytes from us, the peer is not necessarily stalled: it may be
// reading slowly from megabytes in the kernel. So the kernel's queue is looked at as well: after an
// eighth of the timeout, and then whenever the deadline has come. Since when the queue waits, and
// what was seen last, is kept in the queue itself (buffer.Wait), so that other connections need no
// memory for it.

// stallLook is the part of the timeout after which the kernel's queue is looked at for the first
// time.
const stallLook = 8

// stallDeadline returns when to look whether the peer has taken anything; 0: never.
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
	_, taken := l.sockets.Unacknowledged(int(c.fd))
	w, now := c.out.Wait(), max(uint32(taken), 1)
	if w.Seen == now {
		c.end(ErrWriteStall)
		return
	}
	*w = buffer.Wait{Since: uint32(l.tick), Seen: now}
}
