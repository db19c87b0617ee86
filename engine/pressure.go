package engine

import "time"

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

// Reading says whether the engine reads from the peer: not after PauseRead, and not while it is OverHighWater.
func (c *Conn) Reading() bool { return c.flags&(paused|throttled|readClosed) == 0 && c.state == open }

// Now is the time since the loop began, as of the beginning of the current delivery or turn: a clock that costs nothing.
func (c *Conn) Now() time.Duration { return c.loop.now }
