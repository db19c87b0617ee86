package engine

import "github.com/myriadnet/myriad/engine/internal/driver"

// corkedMax is how many connections besides the current one hold a cork at the same time.
const corkedMax = 64

// dirtyList has the connections that settle has to see at the end of the turn.
//
// A method of Conn only changes fields. What follows from that (write what is queued, send a FIN, change the interest, call
// Closed) is settle's, which runs when no call of user code is under way. Two flags of a connection see to it:
//
//   - touched: something has changed since settle last looked. touch sets it, settle clears it before it looks.
//   - listed: the connection is in the list. touch lists it, except while a call of user code for this very connection is
//     under way: whoever has made the call settles it when it returns, and caught lists it if it panics.
//
// So between two turns each touched connection is listed. One that is listed but no longer touched was settled meanwhile,
// and is passed over. What touches a connection while the list is worked through waits for the next turn.
//
// Only so many listed connections hold a cork at a time, so that a broadcast to ten thousand does not need ten thousand of
// them: the first ones are written early.
type dirtyList struct {
	conns   []*Conn
	flushed int // conns[:flushed] were written early
	next    int // conns[:next] were settled in this turn
}

// touch makes sure that settle sees c.
func (c *Conn) touch() {
	if c.flags&touched == 0 && c.state != closed {
		c.mark()
	}
}

func (c *Conn) mark() {
	c.loop.checkTurn()
	c.flags |= touched
	if l := c.loop; c != l.callback.conn && c.flags&listed == 0 {
		c.flags |= listed
		l.list(c)
	}
}

// list adds c to the dirty list, and writes the first ones early where too many hold a cork.
func (l *loop) list(c *Conn) {
	l.dirty.conns = append(l.dirty.conns, c)
	if len(l.dirty.conns)-l.dirty.flushed <= corkedMax {
		return
	}
	e := l.dirty.conns[l.dirty.flushed]
	l.dirty.flushed++
	if e.flags&blocked == 0 && e.state < ended && !e.out.Empty() {
		e.flush()
		if e.state == open && e.out.Empty() && e.flags&(refeed|writeClosed) == 0 {
			e.flags &^= touched | listed
		}
	}
}

// settleDirty settles what was listed before it began; what its own calls touch waits for the next turn.
func (l *loop) settleDirty() {
	if len(l.dirty.conns) == 0 {
		return
	}
	for n := len(l.dirty.conns); l.dirty.next < n; {
		c := l.dirty.conns[l.dirty.next]
		l.dirty.next++ // before the call, which may panic
		l.dirty.flushed = max(l.dirty.flushed, l.dirty.next)
		if c.flags&listed == 0 {
			continue
		}
		c.flags &^= listed
		if c.flags&touched != 0 {
			l.settle(c)
		}
	}
	left := copy(l.dirty.conns, l.dirty.conns[l.dirty.next:])
	clear(l.dirty.conns[left:])
	l.dirty.conns = l.dirty.conns[:left]
	l.dirty.next, l.dirty.flushed = 0, 0
}

// unsettled are the flags that settle looks at when the queue is empty; wantRead alone is what a connection has that just reads.
const unsettled = paused | throttled | readClosed | writeClosed | blocked | touched | refeed | yielded | wantRead | wantWrite

// settle brings the kernel and the Protocol up to what happened to c in a delivery or turn. It is the only place where a
// connection's life goes on, and it runs outside of every call of a Protocol.
func (l *loop) settle(c *Conn) {
	c.flags &^= touched
	if c.state == closed {
		if c.fd >= 0 { // Closed has panicked
			l.dispose(c)
		}
		return
	}
	if c.flags&(refeed|yielded) == refeed {
		c.flags &^= refeed
		if c.in != nil && c.state == open && c.flags&paused == 0 {
			l.feed(c, c.in.Bytes(), true)
			c.flags &^= touched
		}
	}
	if c.flags&finHeld != 0 && c.state < ended {
		l.readClosed(c)
	}
	if c.flags&blocked == 0 && !c.out.Empty() && c.state < ended {
		c.flush()
	}
	if c.flags&unsettled == wantRead && c.state == open && c.out.Empty() {
		return // the usual case: all is out, and nothing has changed
	}
	if c.out.Len() == 0 && c.state < ended {
		l.sendFin(c)
	}
	if c.state == ended {
		l.finish(c)
	}
	if c.state == closed {
		return
	}
	drained := l.balance(c)
	flushed := c.flags&(blocked|wantWrite) == wantWrite
	l.register(c)
	if drained && c.state == open && c.abilities&hasDrained != 0 {
		l.enter(c)
		c.proto.(Drainer).Drained()
		l.exit()
	}
	if flushed && c.state == open && c.abilities&hasFlushed != 0 {
		l.enter(c)
		c.proto.(Flusher).Flushed()
		l.exit()
	}
	c.flags &^= yielded
	if c.flags&(touched|refeed) != 0 { // by Drained or Feed: what comes of it waits for the next turn, others come first
		c.mark()
	}
}

// register tells the driver what c waits for now, if that has changed.
func (l *loop) register(c *Conn) {
	var want flags
	if c.flags&(paused|throttled|readClosed) == 0 || c.state == closing && c.flags&readClosed == 0 {
		want |= wantRead
	}
	if c.flags&blocked != 0 {
		want |= wantWrite
	}
	have := c.flags & (wantRead | wantWrite)
	if have == want {
		return
	}
	c.flags = c.flags&^(wantRead|wantWrite) | want
	if err := l.poller.SetInterest(int(c.fd), c.token(), interest(have), interest(want)); err != nil {
		c.end(resetError(err))
		c.touch()
	}
}

func interest(f flags) (i driver.Interest) {
	if f&wantRead != 0 {
		i |= driver.Read
	}
	if f&wantWrite != 0 {
		i |= driver.Write
	}
	return i
}
