package engine

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

// CloseWith is Close with the reason that Closed gets in the place of nil, as if Feed had returned it. The first reason is
// the one that counts.
func (c *Conn) CloseWith(reason error) {
	if c.state != open {
		return
	}
	c.touch()
	c.state = closing
	c.err = reason
	c.flags |= writeClosed
	c.flags &^= paused | refeed | yielded
	c.times.idle = 0
	c.progress()
	c.dropInput()
}

// CloseWrite closes our half in order: what Write accepted is sent, then a FIN. Reading goes on, and the connection
// stays until Close or until the peer closes its half as well. A second CloseWrite does nothing.
func (c *Conn) CloseWrite() {
	c.touch()
	c.flags |= writeClosed
}

// Abort ends the connection at once: what is queued is dropped, and the peer sees a reset. Closed gets ErrAborted, after
// the current call of the Protocol has returned.
func (c *Conn) Abort() { c.end(ErrAborted) }

// end stops everything: settle will close the descriptor.
func (c *Conn) end(reason error) {
	if c.state >= ended {
		return
	}
	c.touch()
	if c.state == open || c.err == nil {
		c.err = reason
	}
	if c.state == open {
		c.flags |= cutOff
	}
	c.state = ended
	c.flags |= writeClosed
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
		c.times.deadline = c.loop.after(c.loop.config.Linger)
		c.arm()
	}
}

// sendFin shuts our half down when it was asked for and all is flushed, and ends a connection whose both halves are done.
func (l *loop) sendFin(c *Conn) {
	if c.flags&(writeClosed|finSent) == writeClosed {
		c.flags |= finSent
		c.progress()
		if err := l.sockets.CloseWrite(int(c.fd)); err != nil {
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

// finish is the one way out: everything that c owned is given back, then Closed is called, then the descriptor closed,
// so that Closed can still ask for addresses. If Closed panics, settle sees c once more and goes on with dispose.
func (l *loop) finish(c *Conn) {
	if c.flags&released != 0 {
		l.gather(c)
		c.out.Release(&l.memory.pool)
	}
	unsent := c.out.Len()
	c.state = closed
	c.closed.Store(true)
	c.out.Release(&l.memory.pool)
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
		l.stats.Closed[causeOf(reason)]++
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
	l.poller.Close(fd, c.flags&cutOff != 0)
}
