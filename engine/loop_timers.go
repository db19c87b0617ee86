package engine

import (
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// tickLength is the resolution of timers: they fire up to two ticks late, and never early.
const tickLength = 10 * time.Millisecond

// timersLeast is how many timers fire in any turn that call user code or close connections, and
// timerCost what each of them counts. One that finds its deadline moved counts 1. Thousands of
// connections may have the same deadline, and closing one takes 20 to 30 us: when the turn has
// taken long enough, the others wait for the next one.
const (
	timersLeast = 8
	timerCost   = 8
)

// longest is the longest time that the loop reckons with: 124 days. Ticks that are compared must be
// less than 2^31 apart.
const longest = (1 << 30) * tickLength

// timerKey marks the wheel's keys that are slots of loop.timers. The others are slots of
// loop.conns. None is wheel.Moved: a timer takes more than a byte.
const timerKey = 1 << 31

// tickOf rounds down. 0 means no deadline; no tick is 0 within the first 497 days.
func tickOf(now time.Duration) wheel.Tick { return wheel.Tick(now/tickLength) + 1 }

// ticks rounds a duration of up to longest up to at least one tick.
func ticks(d time.Duration) wheel.Tick {
	return wheel.Tick((min(max(d, 1), longest) + tickLength - 1) / tickLength)
}

// before reports whether a is earlier than b. Ticks wrap around.
func before(a, b wheel.Tick) bool { return int32(a-b) < 0 }

// after returns the tick by which d has certainly passed. It is not 0. It reads the clock: the call
// that asks may have gone on for long.
func (l *loop) after(d time.Duration) wheel.Tick { return max(l.tickNow()+ticks(d)+1, 1) }

// tickNow returns the tick that it is now, not when the turn began.
func (l *loop) tickNow() wheel.Tick { return tickOf(l.poller.Now()) }

// due reports whether a deadline has come. 0 is no deadline.
func (l *loop) due(at wheel.Tick) bool { return at != 0 && !before(l.tick, at) }

// addTimer adds a timer to the wheel.
func (l *loop) addTimer(at wheel.Tick, key uint32) wheel.ID {
	if l.wheel.Len() == 0 { // it has stood still, perhaps for more ticks than can be compared
		l.wheel.Restart(l.asked)
	}
	return l.wheel.Add(at, key)
}

// fire runs the timers that were due when the kernel was asked for events last. If some have become
// due since, it asks once more: the turn may have been long, or the process was stopped, and what
// waits in the kernel may be what the timers are for. What a turn has no time for is left to the
// next one.
func (l *loop) fire() {
	l.polling.firing = false
	if l.wheel.Len() == 0 {
		return
	}
	if at, ok := l.wheel.Next(); ok && before(l.asked, at) && !before(l.tick, at) {
		l.poll(0)
	}
	for cost := 0; cost < timersLeast*timerCost || !l.tookLong(l.now, 0); {
		key, ok := l.wheel.Expire(l.asked)
		if l.polling.firing = ok; !ok { // it stays set if a panic interrupts the turn
			return
		}
		if key == wheel.Moved {
			cost += timerCost
			l.spend(4 * eventWork)
		} else if key&timerKey != 0 {
			l.fireTimer(l.timers.At(key &^ timerKey))
			cost += timerCost
			l.spend(2 * eventWork)
		} else if c := l.conns.At(key); l.expire(c) {
			cost += timerCost
			l.spend(4 * eventWork)
		} else {
			cost++
			l.spend(eventWork / timerCost)
		}
	}
}

func (l *loop) fireTimer(t *Timer) {
	if t.rest > 0 {
		l.set(t, t.rest)
		return
	}
	if t.conn != nil && t.conn.state == frozen { // until it is known who has it
		l.set(t, tickLength)
		return
	}
	t.unlink()
	l.enter(t.conn)
	t.f()
	l.exitAndSettle(t.conn)
}

// expire acts on the deadline of c that has come, if any. It reports whether that has cost more
// than a look.
func (l *loop) expire(c *Conn) (acted bool) {
	c.times.timer = 0
	switch {
	case l.due(c.times.deadline):
		if c.isPatient() && !c.overdue() || c.postpone() {
			break
		}
		c.times.deadline = 0
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
	case c.times.idle != 0 && c.flags&patient == 0 && l.due(c.times.active+c.times.idle):
		if c.flags&(paused|throttled) == 0 && !c.hasInput() && !l.isTaking(c) && !l.keepIdle(c) {
			c.CloseWith(ErrIdleTimeout)
		}
		c.times.active = l.tick
	}
	if c.state < ended && c.times.timer == 0 {
		c.arm()
	}
	if c.flags&touched != 0 {
		l.settleInBudget(c)
		return true
	}
	return false
}

// keepIdle asks the Protocol whether to keep an idle connection.
func (l *loop) keepIdle(c *Conn) bool {
	if c.abilities&hasIdle == 0 {
		return false
	}
	l.enter(c)
	stays := c.proto.(Idler).Idle()
	l.exit()
	return stays || c.state != open
}

// sleep returns how long the loop may block: until the next timer or Ticker, or forever (-1) if
// there is none.
func (l *loop) sleep() time.Duration {
	until := l.ticking.next
	if at, ok := l.wheel.Next(); ok {
		begin := l.now - l.now%tickLength // start of the current tick
		until = min(until, begin+time.Duration(int32(at-l.tick))*tickLength)
	}
	if until == never {
		return -1
	}
	return max(until-l.poller.Now(), 0)
}
