package engine

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/buffer"
)

// SlowPolicy is what WriteShared does when a peer does not keep up: when its outbound queue is
// above the high watermark. LoopStats.Slow counts how often.
type SlowPolicy int

const (
	// SlowWait queues the message anyway, up to Config.MaxOutbound.
	SlowWait SlowPolicy = iota
	// SlowDropNewest drops the message.
	SlowDropNewest
	// SlowDropOldest drops the oldest messages in the queue, as many as necessary, and queues the
	// message. It drops only messages that were written with this policy and of which nothing was
	// sent.
	SlowDropOldest
	// SlowClose queues the message, up to Config.MaxOutbound. It closes the connection with ErrSlow
	// unless the queue is down to the low watermark within Config.SlowGrace.
	SlowClose
	// SlowPolicies is the number of policies.
	SlowPolicies
)

var slowNames = [SlowPolicies]string{"wait", "drop_newest", "drop_oldest", "close"}

// String returns the name of the policy, as it is used for metrics.
func (p SlowPolicy) String() string {
	if p < 0 || p >= SlowPolicies {
		return fmt.Sprintf("SlowPolicy(%d)", int(p))
	}
	return slowNames[p]
}

// WriteShared is Write without copying b, for bytes that go to many connections. b must not be
// changed afterwards. slow is what to do if the peer does not keep up. The bytes go out when the
// current delivery or turn ends.
//
// Its errors are those of Write. A message that slow drops is not an error.
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
			c.noteFlood()
			for c.out.Len() > high && c.state != frozen && c.out.DropOldest(&l.memory.pool) {
				l.stats.Dropped++
			}
			// The next write may go out. Without wantWrite, Flushed would not be called.
			if c.out.Len() == 0 && c.flags&wantWrite != 0 {
				c.flags &^= blocked
			}
		case SlowClose:
			l.giveGrace(c)
		}
	}
	if len(b) <= buffer.ChunkCost && slow != SlowDropOldest && !c.out.Empty() {
		// A copy takes less memory than a reference.
		c.out.Append(&l.memory.pool, b, max(parkedChunk, min(c.out.Len(), buffer.CorkSize)))
	} else {
		c.out.Share(&l.memory.pool, b, slow == SlowDropOldest)
	}
	if c.flags&blocked != 0 {
		c.block(false)
	}
	c.written()
	return nil
}

// giveGrace closes c unless its queue is drained in time.
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
	}).LeaveBehind()
}

// endGrace is called when c is drained or closed.
func (l *loop) endGrace(c *Conn) {
	if c.flags&lagging != 0 {
		c.flags &^= lagging
		l.grace[c].Stop()
		delete(l.grace, c)
	}
}
