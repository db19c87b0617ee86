package engine

import "fmt"

// SlowPolicy says what becomes of a message for a peer that does not keep up: one whose outbound queue is above
// Config.HighWater. Stats counts how often each of them had to act.
type SlowPolicy int

const (
	// SlowWait queues the message all the same, up to Config.MaxOutbound.
	SlowWait SlowPolicy = iota
	// SlowDropNewest drops the message.
	SlowDropNewest
	// SlowDropOldest drops the oldest messages in the queue that were written with this policy and are still whole, as many
	// as are needed; then it queues the message.
	SlowDropOldest
	// SlowClose queues the message, and closes the connection with ErrSlow if its queue does not come down to
	// Config.LowWater within Config.SlowGrace.
	SlowClose
	// SlowPolicies is how many there are.
	SlowPolicies
)

var slowNames = [SlowPolicies]string{"wait", "drop_newest", "drop_oldest", "close"}

func (p SlowPolicy) String() string {
	if p < 0 || p >= SlowPolicies {
		return fmt.Sprintf("SlowPolicy(%d)", int(p))
	}
	return slowNames[p]
}

// WriteShared is Write for bytes that many connections are sent: b is not copied, and must not be changed any more. slow
// says what to do if the peer does not keep up. It goes out when the current delivery or turn of the loop ends.
//
// The errors are those of Write; a message that was dropped by the policy is no error.
func (c *Conn) WriteShared(b []byte, slow SlowPolicy) error {
	if err := c.mayWrite(); err != nil || len(b) == 0 {
		return err
	}
	l := c.loop
	if high := c.water().high; c.out.Len() > high {
		l.stats.Slow[slow]++
		switch slow {
		case SlowDropNewest:
			return nil
		case SlowDropOldest:
			for c.out.Len() > high && c.out.DropOldest(&l.memory.pool) {
				l.stats.Dropped++
			}
			if c.out.Len() == 0 {
				c.flags &^= blocked // what is written next may go out
			}
		case SlowClose:
			l.giveGrace(c)
		}
	}
	c.out.Share(&l.memory.pool, b, slow == SlowDropOldest)
	if c.flags&blocked != 0 {
		c.block(false)
	}
	c.written()
	return nil
}

// giveGrace has c closed unless it is drained in time.
func (l *loop) giveGrace(c *Conn) {
	if c.flags&lagging != 0 {
		return
	}
	c.flags |= lagging
	if l.grace == nil {
		l.grace = make(map[*Conn]*Timer)
	}
	l.grace[c] = c.AfterFunc(l.config.SlowGrace, func() {
		delete(l.grace, c)
		c.flags &^= lagging
		c.end(ErrSlow)
	})
}

// endGrace is called when c has been drained or is closed.
func (l *loop) endGrace(c *Conn) {
	if c.flags&lagging != 0 {
		c.flags &^= lagging
		l.grace[c].Stop()
		delete(l.grace, c)
	}
}
