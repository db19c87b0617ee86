package engine

// Pressure is how well a peer keeps up with what it is sent.
type Pressure uint8

const (
	// Sent means that nothing waits for the peer, except what goes out at the end of the current
	// delivery or turn.
	Sent Pressure = iota
	// Queued means that the kernel takes no more for now, and the rest waits in the outbound queue.
	Queued
	// OverHighWater means that the queue is above the high watermark. The engine does not read from
	// the peer until it is down to the low one, nor offer again what Feed has left, and then calls
	// Drained. A Protocol that produces output by itself should stop meanwhile.
	OverHighWater
)

// Pressure returns how well the peer keeps up.
func (c *Conn) Pressure() Pressure {
	switch {
	case c.flags&(throttled|blocked) == 0:
		return Sent // what is only corked may go out at once, and then Drained is not called
	case c.flags&throttled != 0 || c.out.Len() > c.water().high:
		return OverHighWater
	}
	return Queued
}

// watermarks are the watermarks of one connection, in bytes.
type watermarks struct{ high, low int }

// floods reports to Yield whether more waits for the peer than the high watermark, before settle
// sees that: a small request may have a large answer, and there may be a thousand of them in one
// Feed. What Feed leaves then is offered again, whatever becomes of the queue before it returns.
func (c *Conn) floods() bool {
	if c.out.Len() <= c.water().high {
		return false
	}
	c.loop.callback.flooded = true
	return true
}

// SetWatermarks sets the connection's own watermarks, in bytes, instead of Config.HighWater and
// Config.LowWater. high <= 0 restores those. A high above Config.MaxOutbound means MaxOutbound. A
// low that is <= 0 or above high means a quarter of high. They take effect when the current
// delivery or turn ends.
func (c *Conn) SetWatermarks(high, low int) {
	if c.state == closed {
		return
	}
	c.touch()
	if high <= 0 {
		c.flags &^= ownWater
		return
	}
	high = min(high, c.loop.config.MaxOutbound)
	if low <= 0 || low > high {
		low = high / 4
	}
	all := &c.loop.watermarks
	for all.Len() <= c.slot {
		all.Grow()
	}
	*all.At(c.slot) = watermarks{high, low}
	c.flags |= ownWater
}

// water returns the watermarks of c.
func (c *Conn) water() watermarks {
	if c.flags&ownWater != 0 {
		return *c.loop.watermarks.At(c.slot)
	}
	return watermarks{c.loop.config.HighWater, c.loop.config.LowWater}
}

// Outbound returns the number of bytes that Write accepted and the kernel has not taken yet.
func (c *Conn) Outbound() int { return c.out.Len() }

// unblock lets settle write the queue. What was written since settle last looked may have made
// Pressure say OverHighWater, and may be gone when it looks again: Drained is due all the same.
func (c *Conn) unblock() {
	c.noteFlood()
	c.flags &^= blocked
}

// noteFlood does early what balance would do, before a queue that waits gets shorter.
func (c *Conn) noteFlood() {
	if c.flags&blocked != 0 && c.out.Len() > c.water().high {
		c.flags |= throttled
	}
}

// balance compares the queue with the watermarks. Above the high one the loop stops reading from
// the peer, so that a peer that does not read cannot make an echo grow. At the low one it reads
// again, and balance reports that Drained is due.
func (l *loop) balance(c *Conn) (drained bool) {
	n, water := c.out.Len(), c.water()
	if n <= water.low {
		l.endGrace(c) // SlowDropOldest may have drained it, too
	}
	switch {
	case n > water.high:
		c.flags |= throttled
	case n <= water.low && c.flags&throttled != 0:
		c.flags &^= throttled
		c.times.active = l.tickNow()
		return true
	}
	return false
}
