package engine

import "github.com/myriadnet/myriad/engine/internal/driver"

// state is how far a connection has come in its life.
//
//	       Close, Feed's error, timeout,            queue flushed, FIN sent,
//	       peer's FIN without ReadClosed            peer's FIN read
//	open ------------------------------> closing ---------------------------> ended ----> closed
//	 |                                      |                                    ^    settle
//	 +--------------------------------------+------------------------------------+
//	   Abort, a panic, reset or write error, outbound limit; closing: linger deadline
//
// Half-closed states are flags of an open connection:
//
//	                      | reads and feeds | Write      | leaves by
//	open                  | yes             | yes        | any edge above
//	open, readClosed      | no: FIN read    | yes        | Close, when the reply is done
//	open, writeClosed     | yes             | refused    | Close, or the peer's FIN
//	closing              | and discards    | refused    | FIN read and all flushed, or the linger deadline
//	ended                 | no              | refused    | settle, at the end of the delivery or turn
//	closed                | no              | refused    | never: a Conn is not used again
//
// Only settle goes on from ended, and only settle calls Closed: a call of a Protocol never begins inside another.
type state uint8

const (
	open state = iota
	closing
	ended
	closed
)

// Close closes the connection in order: what Write accepted is sent, then a FIN; then the peer's FIN is waited for, while
// what it still sends is discarded, because closing a socket with unread input would make the kernel reset the
// connection and destroy the end of our reply. A peer that makes no progress for Config.Linger is given up.
// Closed is called at the end of all that, with nil if it went well. A second Close does nothing.
func (c *Conn) Close() { c.CloseWith(nil) }

// CloseWith is Close with the reason that Closed gets in the place of nil, as if Feed had returned it.
func (c *Conn) CloseWith(reason error) { c.CloseWith(reason) }

// CloseWrite closes our half in order: what Write accepted is sent, then a FIN. Reading goes on, and the connection
// stays until Close or until the peer closes its half as well. A second CloseWrite does nothing.
func (c *Conn) CloseWrite() {
	c.flags |= writeClosed
	c.touch()
}

// Abort ends the connection at once: what is queued is dropped, and the peer sees a reset. Closed gets ErrAborted, after
// the current call of the Protocol has returned.
func (c *Conn) Abort() { c.end(ErrAborted) }

// drain begins an orderly close with the given reason. The first reason is the one that counts.
func (c *Conn) drain(reason error) {
	if c.state != open {
		return
	}
	c.state = closing
	c.err = reason
	c.flags |= writeClosed
	c.flags &^= paused | refeed | yielded
	c.idle = 0
	c.progress()
	c.dropInput()
	c.touch()
}

// end stops everything: settle will close the descriptor.
func (c *Conn) end(reason error) {
	if c.state >= ended {
		return
	}
	if c.state == open || c.err == nil {
		c.err = reason
	}
	if c.state == open {
		c.flags |= cutOff
	}
	c.state = ended
	c.flags |= writeClosed
	c.touch()
}

// fail ends a connection that the kernel reported an error for. After Close only unsent bytes make that an event
// worth telling: a peer that has all of the reply may well answer our FIN with a reset.
func (c *Conn) fail(err error) {
	if c.state == closing && c.out.Len() == 0 && c.flags&finSent != 0 {
		c.state = ended
		c.touch()
		return
	}
	c.end(resetError(err))
}

// progress restarts the linger deadline of a closing connection: the peer has taken something.
func (c *Conn) progress() {
	if c.state == closing {
		c.deadline = c.loop.after(c.loop.config.Linger)
		c.arm()
	}
}

func (c *Conn) dropInput() {
	if c.in != nil && c.loop.feeding != c {
		c.loop.pool.Put(c.in)
		c.in = nil
	}
}

// touch makes sure that settle sees c: at the end of c's own delivery if that is under way, else of the loop's turn.
func (c *Conn) touch() {
	if c.flags&touched == 0 && c.state != closed {
		c.mark()
	}
}

func (c *Conn) mark() {
	c.flags |= touched
	if l := c.loop; c != l.current && c.flags&listed == 0 {
		c.flags |= listed
		l.list(c)
	}
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

// sendFin shuts our half down when it was asked for and all is flushed, and ends a connection whose both halves are done.
func (l *loop) sendFin(c *Conn) {
	if c.flags&(writeClosed|finSent) == writeClosed {
		c.flags |= finSent
		c.progress()
		if err := l.driver.CloseWrite(int(c.fd)); err != nil {
			c.fail(err)
		}
	}
	if c.flags&(finSent|readClosed) == finSent|readClosed && c.state < ended {
		if c.state == open {
			c.err = ErrPeerClosed
		}
		c.state = ended
	}
}

// balance compares the queue with the watermarks: above the high one we stop reading from a peer that does not read from
// us, so that an echo cannot be ballooned; at the low one we go on, and the Protocol is told.
func (l *loop) balance(c *Conn) (drained bool) {
	n := c.out.Len()
	switch {
	case n > l.config.HighWater:
		c.flags |= throttled
	case n <= l.config.LowWater && c.flags&throttled != 0:
		c.flags &^= throttled
		c.active = l.tick
		l.endGrace(c)
		return true
	}
	return false
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
	if err := l.driver.SetInterest(int(c.fd), c.token(), interest(have), interest(want)); err != nil {
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

// finish is the one way out: everything that c owned is given back, then Closed is called, then the descriptor closed,
// so that Closed can still ask for addresses. If Closed panics, settle sees c once more and goes on with dispose.
func (l *loop) finish(c *Conn) {
	if c.flags&released != 0 {
		l.gather(c)
		c.out.Release(&l.pool)
	}
	unsent := c.out.Len()
	c.state = closed
	c.closed.Store(true)
	c.out.Release(&l.pool)
	c.dropInput()
	l.endGrace(c)
	c.stopTimers()
	l.conns.Remove(c.slot, c.gen)
	l.forget(c)
	l.load.Add(-1)
	reason := c.err
	if c.flags&connecting != 0 {
		l.stats.Closed[CauseDial]++
	} else {
		l.stats.Closed[cause(reason)]++
	}
	if unsent > 0 {
		reason = &UnsentError{Reason: reason, Bytes: unsent}
		c.flags |= cutOff
	}
	if p := c.proto; p != nil {
		l.enter(c)
		p.Closed(reason)
		l.exit()
		l.observeClosed(c, reason)
	}
	l.dispose(c)
}

// dispose closes the descriptor, with a reset where a FIN would be a lie, or hands it over, and forgets the Protocol, which a
// Handle must not keep alive.
func (l *loop) dispose(c *Conn) {
	fd := int(c.fd)
	c.fd, c.proto, c.err = -1, nil, nil
	if c.flags&released != 0 {
		l.handOver(c, fd)
		return
	}
	l.driver.Close(fd, c.flags&cutOff != 0)
}
