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
	case c.flags&throttled != 0 || c.out.Len() > c.loop.config.HighWater:
		return OverHighWater
	}
	return Queued
}

// Outbound is the number of bytes that Write accepted and the kernel has not taken yet.
func (c *Conn) Outbound() int { return c.out.Len() }

// balance compares the queue with the watermarks: above the high one we stop reading from a peer that does not read from
// us, so that an echo cannot be ballooned; at the low one we go on, and the Protocol is told.
func (l *loop) balance(c *Conn) (drained bool) {
	n := c.out.Len()
	switch {
	case n > l.config.HighWater:
		c.flags |= throttled
	case n <= l.config.LowWater && c.flags&throttled != 0:
		c.flags &^= throttled
		c.times.active = l.tick
		l.endGrace(c)
		return true
	}
	return false
}
