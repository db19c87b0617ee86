package engine

import "time"

// SetIdleTimeout has the connection closed with ErrIdleTimeout, or its Idler asked, when no byte has arrived for d. It does
// not run while the engine does not read: see PauseRead, Config.HighWater and, for peers that take nothing, WriteTimeout.
// 0 or less switches it off, which is the default. It costs nothing per message.
func (c *Conn) SetIdleTimeout(d time.Duration) {
	if c.state != open {
		return
	}
	c.loop.checkTurn()
	if c.times.idle = 0; d > 0 {
		c.times.idle, c.times.active = ticks(d)+1, c.loop.tick
	}
	c.arm()
}

// SetTimeout has the connection closed with ErrTimeout when d has passed, whatever arrives: what was written is flushed
// first. It replaces the deadline that was set before; 0 or less removes it.
func (c *Conn) SetTimeout(d time.Duration) {
	if c.state != open {
		return
	}
	c.loop.checkTurn()
	if c.times.deadline = 0; d > 0 {
		c.times.deadline = c.loop.after(d)
	}
	c.arm()
}

// arm sets the connection's one timer to the earlier of its deadlines. Bytes that arrive do not move it: when it fires
// too early for the idle timeout, it is set again.
func (c *Conn) arm() {
	l := c.loop
	at, on := c.times.deadline, c.times.deadline != 0
	if c.times.idle != 0 {
		if t := c.times.active + c.times.idle; !on || int32(t-at) < 0 {
			at, on = t, true
		}
	}
	if t := c.stallDeadline(); t != 0 && (!on || int32(t-at) < 0) {
		at, on = t, true
	}
	switch {
	case !on:
		l.disarm(c)
	case c.times.timer == 0:
		c.times.timer = l.wheel.Add(at, c.slot)
	default:
		l.wheel.Move(c.times.timer, at)
	}
}

func (l *loop) disarm(c *Conn) {
	if c.times.timer != 0 {
		l.wheel.Remove(c.times.timer)
		c.times.timer = 0
	}
}

// AfterFunc calls f on the loop when d has passed, unless the connection is closed by then. It is coarse: f may be called
// up to 20 ms late, and never early. A panic in f closes the connection.
func (c *Conn) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: c.loop, conn: c, f: f}
	if c.state == closed {
		return t
	}
	c.loop.checkTurn()
	t.link(&c.timers)
	c.loop.start(t, d)
	return t
}

// stopTimers leaves nothing of c in the wheel.
func (c *Conn) stopTimers() {
	for c.timers != nil {
		c.timers.Stop()
	}
	c.loop.disarm(c)
}
