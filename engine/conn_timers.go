package engine

import "time"

// SetIdleTimeout closes the connection with ErrIdleTimeout, or asks its Idler, when no byte has
// arrived for d. The timeout does not run while the engine does not read: see Reading. A peer that
// acknowledges bytes of ours is not idle; as long as some are on their way to it, the kernel is
// asked when the time has passed, and the timeout may come d later. For peers that take nothing
// there is Config.WriteTimeout. d <= 0 switches it off, which is the default, and so does a d of
// more than 124 days. It costs nothing per message.
func (c *Conn) SetIdleTimeout(d time.Duration) {
	if !c.serves() || c.flags&patient != 0 {
		return
	}
	c.loop.checkTurn()
	c.times.idle = 0
	if d > 0 && d <= longest {
		c.times.idle, c.times.active = ticks(d)+1, c.loop.tickNow()
	}
	c.arm()
}

// SetTimeout closes the connection with ErrTimeout after d, whatever arrives. What was written is
// flushed first. A later call replaces the timeout; d <= 0 removes it, and so does a d of more than
// 124 days.
func (c *Conn) SetTimeout(d time.Duration) {
	if !c.serves() {
		return
	}
	c.loop.checkTurn()
	if c.flags&patient != 0 {
		c.times.idle = 0
	}
	c.flags &^= patient | postponed
	c.times.deadline = 0
	if d > 0 && d <= longest {
		c.times.deadline = c.loop.after(d)
	}
	c.arm()
}

// arm sets the connection's one timer to its earliest deadline. Arriving bytes do not move the
// timer: if it fires too early for the idle timeout, it is set again.
func (c *Conn) arm() {
	if c.state == frozen {
		return // thaw does it
	}
	l := c.loop
	at, on := c.times.deadline, c.times.deadline != 0
	if c.times.idle != 0 && c.flags&patient == 0 {
		if t := c.times.active + c.times.idle; !on || before(t, at) {
			at, on = t, true
		}
	}
	if t := c.stallDeadline(); t != 0 && (!on || before(t, at)) {
		at, on = t, true
	}
	switch {
	case !on:
		l.disarm(c)
	case c.times.timer == 0:
		c.times.timer = l.addTimer(at, c.slot)
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

// AfterFunc calls f on the loop after d, unless the connection is closed by then. f is called up to
// 20 ms late, and never early. A panic in f closes the connection. On a closed connection AfterFunc
// does nothing.
//
// If each f calls AfterFunc again, every period is up to 20 ms too long, and the delays add up. For
// a steady tick use Engine.NewTicker.
func (c *Conn) AfterFunc(d time.Duration, f func()) *Timer {
	needFunc("AfterFunc", "f", f == nil)
	t := &Timer{loop: c.loop, conn: c, f: f}
	if c.state == closed {
		return t
	}
	c.loop.checkTurn()
	t.link(&c.timers)
	c.loop.start(t, d)
	return t
}

// stopTimers removes all timers of c.
func (c *Conn) stopTimers() {
	for c.timers != nil {
		c.timers.Stop()
	}
	c.loop.disarm(c)
}
