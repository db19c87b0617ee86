package engine

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/handover"
)

// settled is called when it is known who owns the connections of the batch.
func (l *loop) settled(b *departure) {
	d := l.departing
	if d == nil { // the loop has ended
		return
	}
	d.posted = nil
	d.known = append(d.known, b)
	if b.Err != nil {
		d.aborted = true
	}
}

// conclude thaws or closes the connections of the batch, for least or a little longer after begun,
// when the step has begun. It reports whether that is done; if not, or if Closed panics, the next
// turn goes on.
func (l *loop) conclude(b *departure, begun, least time.Duration) (done bool) {
	d := l.departing
	if n := b.Taken.Len(); b.next == 0 && n > 0 {
		d.to.progress.update(func(s *HandoverStats) { s.Moved += n })
	}
	for b.next < len(b.conns) {
		i := b.next
		b.next++
		c := b.conns[i]
		if c.state != frozen {
			continue
		}
		if b.Taken.Has(i) {
			l.handed(c, b.given[i])
		} else {
			if b.Err == nil {
				d.obstacles[obstacleRefused]++
			}
			l.thaw(c, b.ends)
		}
		l.spend(4 * eventWork)
		if b.next < len(b.conns) && l.tookLong(begun, least) {
			return false
		}
	}
	b.forget()
	d.spare = b
	l.tasks.resume(d)
	return true
}

// defers reports whether tasks for c wait: while it is frozen, and then until those that have
// waited are the next ones, which may take some turns. Nothing may overtake them.
func (l *loop) defers(c *Conn) bool {
	return c.state == frozen || l.departing != nil && l.departing.isConcluding(c)
}

func (d *departing) isConcluding(c *Conn) bool {
	return len(d.waits) > 0 && len(d.known) > 0 && slices.Contains(d.known[0].conns[:d.known[0].next], c)
}

// resume makes the tasks that have waited the next ones. They were begun before what is left of
// those that waited for earlier batches.
func (t *tasks) resume(d *departing) {
	t.thawed = append(d.waits, t.thawed...)
	d.waits = nil
}

// thaw lets c go on as if it had not been frozen.
func (l *loop) thaw(c *Conn, ends map[*Conn]lateEnd) {
	c.state = open
	if c.noteFlood(); c.out.Len() == 0 {
		c.flags &^= blocked
	} // else Writable limits what a turn writes
	// Who has asked for Pressure meanwhile waits for Flushed: settle sees that it is due.
	c.flags |= wantRead | wantWrite
	if err := l.poller.Register(int(c.fd), c.token(), driver.Read|driver.Write); err != nil {
		c.end(resetError(err))
	}
	c.arm()
	if end, ok := ends[c]; ok && end.close {
		c.CloseWith(end.reason)
	} else if ok {
		c.end(end.reason)
	}
	switch {
	case l.cutting:
		l.cut(c)
	case l.stopping:
		l.untold = append(l.untold, c)
	}
	c.mark()
}

// handed closes c, which another process has now. given is how many bytes of its queue that got.
// What was asked for meanwhile is not done: a FIN from here would cut off what the new process has
// to send, and its layer's last record could not go before it.
func (l *loop) handed(c *Conn, given int) {
	late := c.out.Len() - given
	c.out.Abandon(&l.memory.pool)
	c.state = ended
	c.err = ErrHandedOver
	if late > 0 {
		c.err = &UnsentError{Reason: ErrHandedOver, Bytes: late}
	}
	c.flags |= handed | writeClosed
	c.fate.Store(isHandedOver)
	l.settle(c)
}

// stayHome ends the loop's part in a handover that was given up. Batches that are on their way are
// waited for.
func (l *loop) stayHome() {
	d := l.departing
	if b := d.batch; b != nil {
		d.batch, b.Err = nil, handover.ErrOver
		d.known = append(d.known, b)
	}
	if d.posted != nil || len(d.known) > 0 {
		return
	}
	l.endDeparture()
}

// endDeparture ends the loop's part in a handover.
func (l *loop) endDeparture() {
	d := l.departing
	l.departing = nil
	if d.again != nil {
		d.again.Stop()
	}
	d.to.home()
}

// abandonFrozen is called when the loop has to end at once. Who has the connections that are on
// their way is not known: they are closed here, and go on if the other process has them.
func (l *loop) abandonFrozen(reason error) {
	for c := range l.conns.All() {
		if c.state == frozen {
			c.state, c.err = ended, reason
			c.flags |= handed | writeClosed
			c.fate.Store(isClosed)
			c.mark()
		}
	}
	if d := l.departing; d != nil {
		l.tasks.resume(d)
		l.endDeparture()
	}
}

// endLater notes that a frozen connection was ended.
func (c *Conn) endLater(reason error, inOrder bool) {
	if c.state != frozen || c.loop.departing == nil {
		return
	}
	d := c.loop.departing
	for _, b := range append(d.known[:len(d.known):len(d.known)], d.batch, d.posted) {
		if b == nil || !slices.Contains(b.conns, c) {
			continue
		}
		if b.ends == nil {
			b.ends = make(map[*Conn]lateEnd)
		}
		if had, twice := b.ends[c]; !twice || had.close && !inOrder {
			b.ends[c] = lateEnd{reason, inOrder}
		}
	}
}
