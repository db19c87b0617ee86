package engine

// Pressure is how a peer keeps up with what it is sent.
type Pressure uint8

const (
	// Sent: nothing waits for the peer but what goes out at the end of the current delivery or turn.
	Sent Pressure = iota
	// Queued: the kernel takes no more for now, and the rest waits in the outbound queue.
	Queued
	// OverHighWater: more than Config.HighWater bytes are queued. The peer is not read from until they are down to
	// Config.LowWater, when its Protocol's Drained is called. A Protocol that produces by itself should stop meanwhile.
	OverHighWater
)

// Pressure says how the peer keeps up.
func (c *Conn) Pressure() Pressure {
	switch {
	case c.flags&(throttled|blocked) == 0: // what is only corked may well go out at once, and then nobody calls Drained
		return Sent
	case c.flags&throttled != 0 || c.out.Len() > c.water().high:
		return OverHighWater
	}
	return Queued
}

// watermarks are those of one connection.
type watermarks struct{ high, low int }

// SetWatermarks sets the connection's own watermarks, in bytes, in place of Config.HighWater and LowWater. high of 0 or less
// goes back to these; low of 0 or less, or above high, is a quarter of high. If the queue is above high or down to low by
// then, that takes effect when the current delivery or turn ends.
func (c *Conn) SetWatermarks(high, low int) {
	if c.state == closed {
		return
	}
	c.touch()
	if high <= 0 {
		c.flags &^= ownWater
		return
	}
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

// water returns the watermarks that count for c.
func (c *Conn) water() watermarks {
	if c.flags&ownWater != 0 {
		return *c.loop.watermarks.At(c.slot)
	}
	return watermarks{c.loop.config.HighWater, c.loop.config.LowWater}
}

// Outbound is the number of bytes that Write accepted and the kernel has not taken yet.
func (c *Conn) Outbound() int { return c.out.Len() }

// balance compares the queue with the watermarks: above the high one we stop reading from a peer that does not read from
// us, so that an echo cannot be ballooned; at the low one we go on, and the Protocol is told.
func (l *loop) balance(c *Conn) (drained bool) {
	n, water := c.out.Len(), c.water()
	switch {
	case n > water.high:
		c.flags |= throttled
	case n <= water.low && c.flags&throttled != 0:
		c.flags &^= throttled
		c.times.active = l.tick
		l.endGrace(c)
		return true
	}
	return false
}
