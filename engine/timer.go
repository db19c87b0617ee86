package engine

import (
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// tickLength is how coarse time is: timers fire up to two ticks late, and never early.
const tickLength = 10 * time.Millisecond

// timerKey marks the wheel's keys that are slots of Loop.timers; the others are slots of Loop.conns.
const timerKey = 1 << 31

// tickOf rounds down. A tick is never 0, which stands for no deadline, within the first 497 days.
func tickOf(now time.Duration) wheel.Tick { return wheel.Tick(now/tickLength) + 1 }

// ticks rounds a duration up to at least one tick.
func ticks(d time.Duration) wheel.Tick {
	return wheel.Tick((min(max(d, 1), wheel.Longest*tickLength) + tickLength - 1) / tickLength)
}

// after is the tick by which d will have passed for certain. It is not 0.
func (l *loop) after(d time.Duration) wheel.Tick { return max(l.tick+ticks(d)+1, 1) }

// SetIdleTimeout has the connection closed with ErrIdleTimeout, or its Idler asked, when no byte has arrived for d. It does
// not run while the engine does not read: see PauseRead, Config.HighWater and, for peers that take nothing, WriteTimeout.
// 0 or less switches it off, which is the default. It costs nothing per message.
func (c *Conn) SetIdleTimeout(d time.Duration) {
	if c.state != open {
		return
	}
	if c.idle = 0; d > 0 {
		c.idle, c.active = ticks(d)+1, c.loop.tick
	}
	c.arm()
}

// SetTimeout has the connection closed with ErrTimeout when d has passed, whatever arrives: what was written is flushed
// first. It replaces the deadline that was set before; 0 or less removes it.
func (c *Conn) SetTimeout(d time.Duration) {
	if c.state != open {
		return
	}
	if c.deadline = 0; d > 0 {
		c.deadline = c.loop.after(d)
	}
	c.arm()
}

// arm sets the connection's one timer to the earlier of its deadlines. Bytes that arrive do not move it: when it fires
// too early for the idle timeout, it is set again.
func (c *Conn) arm() {
	l := c.loop
	at, on := c.deadline, c.deadline != 0
	if c.idle != 0 {
		if t := c.active + c.idle; !on || int32(t-at) < 0 {
			at, on = t, true
		}
	}
	if t := c.stallDeadline(); t != 0 && (!on || int32(t-at) < 0) {
		at, on = t, true
	}
	switch {
	case !on:
		l.disarm(c)
	case c.timer == 0:
		c.timer = l.wheel.Add(at, c.slot)
	default:
		l.wheel.Move(c.timer, at)
	}
}

func (l *loop) disarm(c *Conn) {
	if c.timer != 0 {
		l.wheel.Remove(c.timer)
		c.timer = 0
	}
}

// due says that a deadline has come; 0 never does.
func (l *loop) due(at wheel.Tick) bool { return at != 0 && int32(l.tick-at) >= 0 }

// fire runs all timers that are due.
func (l *loop) fire() {
	if l.wheel.Len() == 0 {
		return
	}
	for {
		key, ok := l.wheel.Expire(l.tick)
		if !ok {
			return
		}
		if key&timerKey != 0 {
			l.fireTimer(l.timers.At(key &^ timerKey))
		} else {
			l.expire(l.conns.At(key))
		}
	}
}

// expire looks which of c's deadlines has come, if any.
func (l *loop) expire(c *Conn) {
	c.timer = 0
	switch {
	case l.due(c.deadline):
		c.deadline = 0
		if c.state == open {
			if c.abilities&hasExpired != 0 {
				l.enter(c)
				c.proto.(Expirer).Expired()
				l.exit()
			}
			c.CloseWith(ErrTimeout)
		} else {
			c.end(ErrLinger)
		}
	case l.due(c.stallDeadline()):
		c.checkStall()
	case c.idle != 0 && l.due(c.active+c.idle):
		if c.flags&(paused|throttled) == 0 && !l.keepIdle(c) {
			c.CloseWith(ErrIdleTimeout)
		}
		c.active = l.tick
	}
	if c.state < ended && c.timer == 0 {
		c.arm()
	}
	if c.flags&touched != 0 {
		l.settle(c)
	}
}

// keepIdle asks the Protocol whether an idle connection is to live on.
func (l *loop) keepIdle(c *Conn) bool {
	if c.abilities&hasIdle == 0 {
		return false
	}
	l.enter(c)
	stays := c.proto.(Idler).Idle()
	l.exit()
	return stays || c.state != open
}

// Timer is a call that AfterFunc has announced. Its method may be called on the connection's loop only.
type Timer struct {
	loop       *loop
	conn       *Conn // nil: a datagram socket's, or the loop's own
	packets    *PacketConn
	next, prev *Timer // the connection's or the socket's timers
	f          func()
	id         wheel.ID
	slot, gen  uint32
}

// AfterFunc calls f on the loop when d has passed, unless the connection is closed by then. It is coarse: f may be called
// up to 20 ms late, and never early. A panic in f closes the connection.
func (c *Conn) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: c.loop, conn: c, f: f}
	if c.state == closed {
		return t
	}
	t.link(&c.timers)
	c.loop.start(t, d)
	return t
}

// link puts t in front of a list.
func (t *Timer) link(list **Timer) {
	if t.next = *list; t.next != nil {
		t.next.prev = t
	}
	*list = t
}

// afterFunc is AfterFunc for the loop's own business.
func (l *loop) afterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, f: f}
	l.start(t, d)
	return t
}

func (l *loop) start(t *Timer, d time.Duration) {
	t.slot, t.gen = l.timers.Insert(t)
	t.id = l.wheel.Add(l.after(d), t.slot|timerKey)
}

// Stop keeps the call from being made. It says whether it did: false if the call was made or stopped before.
func (t *Timer) Stop() bool {
	if t.id == 0 {
		return false
	}
	t.loop.wheel.Remove(t.id)
	t.unlink()
	return true
}

func (t *Timer) unlink() {
	t.id = 0
	t.loop.timers.Remove(t.slot, t.gen)
	if t.next != nil {
		t.next.prev = t.prev
	}
	switch {
	case t.prev != nil:
		t.prev.next = t.next
	case t.conn != nil:
		t.conn.timers = t.next
	case t.packets != nil:
		t.packets.timers = t.next
	}
	t.next, t.prev = nil, nil
}

func (l *loop) fireTimer(t *Timer) {
	t.unlink()
	l.enter(t.conn)
	t.f()
	l.exitAndSettle(t.conn)
}

// stopTimers leaves nothing of c in the wheel.
func (c *Conn) stopTimers() {
	for c.timers != nil {
		c.timers.Stop()
	}
	c.loop.disarm(c)
}

// sleep is how long the loop may block: until the wheel has something to do, for ever if it is empty.
func (l *loop) sleep() time.Duration {
	at, ok := l.wheel.Next()
	if !ok {
		return -1
	}
	begin := l.now - l.now%tickLength // of the current tick
	return max(begin+time.Duration(int32(at-l.tick))*tickLength-l.driver.Now(), 0)
}
