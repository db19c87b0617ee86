package engine

import "github.com/myriadnet/myriad/engine/internal/wheel"

// This file finds peers that take nothing: Config.WriteTimeout.
//
// That the kernel takes no more from us does not say that the peer stands still: it may be reading slowly from megabytes of
// the kernel's. So the kernel's own queue is looked at, too: a while after a connection was blocked, and then each time
// that the deadline has come. The first chunk of our queue has the time (Stamp) and what was seen (Note).

// stallLook is the part of the timeout after which the kernel's queue is looked at for the first time.
const stallLook = 8

// stallDeadline is when to look whether the peer has taken anything; 0: it does not have to.
func (c *Conn) stallDeadline() wheel.Tick {
	timeout := c.loop.config.WriteTimeout
	if c.flags&blocked == 0 || c.state != open || timeout <= 0 || c.out.Len() == 0 {
		return 0
	}
	h := c.out.First()
	if h.Note == 0 {
		timeout /= stallLook
	}
	return max(wheel.Tick(h.Stamp)+ticks(timeout)+1, 1)
}

// checkStall ends a connection whose kernel queue is as it was at the last look.
func (c *Conn) checkStall() {
	l := c.loop
	h, now := c.out.First(), 1+uint32(l.driver.Unacknowledged(int(c.fd)))
	if h.Note == now {
		c.end(ErrWriteStall)
		return
	}
	h.Stamp, h.Note = uint32(l.tick), now
}
