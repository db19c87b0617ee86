package engine

// state is how far a connection has come in its life.
//
//	       Close, Feed's error, timeout, panic,  queue flushed, FIN sent,
//	       peer's FIN without ReadClosed         peer's FIN read
//	open -------------------------------> closing --------------------> ended ------> closed
//	 |                                       |                            ^    settle
//	 +---------------------------------------+----------------------------+
//	   Abort, reset or write error, outbound limit;
//	   closing: a panic, linger time over
//
// Half-closed states are flags of an open connection:
//
//	                  | reads and feeds  | Write   | leaves by
//	open              | yes              | yes     | any edge above
//	open, readClosed  | no: FIN was read | yes     | Close, when the reply is done
//	open, writeClosed | yes              | refused | Close, or the peer's FIN
//	closing           | and discards     | refused | FIN read and all flushed, or linger time
//	ended             | no               | refused | settle, after the delivery or turn
//	closed            | no               | refused | never: a Conn is not used again
//	frozen            | no               | queues  | thaw, to open; handed, to ended
//
// Only an open connection is frozen, while another process decides whether it takes it.
//
// Only settle takes a connection from ended to closed, and only there Closed is called.
type state uint8

const (
	open state = iota
	closing
	ended
	closed
	frozen // open, and on its way to another process: see loop.freeze
)

// serves reports whether c is open, perhaps on its way to another process. What is set then holds
// if it is thawed.
func (c *Conn) serves() bool { return c.state == open || c.state == frozen }

// What Conn.fate may be.
const (
	isClosed uint32 = 1 + iota
	isHandedOver
)

// Close closes the connection in order: it sends what Write accepted, then a FIN, and waits for the
// peer's FIN. What the peer still sends meanwhile is discarded; the kernel would reset a socket
// that is closed with unread input, and destroy the end of our reply. A peer that takes nothing for
// Config.Linger is given up, and so is one that has everything and does not send its FIN for that
// time. Then Closed is called, with nil if all went well. A second Close does nothing.
func (c *Conn) Close() { c.CloseWith(nil) }

// CloseWith is Close with a reason, which Closed gets instead of nil, as if Feed had returned it.
// The first reason counts.
func (c *Conn) CloseWith(reason error) {
	if c.state != open {
		c.endLater(reason, true)
		return
	}
	c.touch()
	c.state = closing
	c.err = reason
	c.flags |= writeClosed
	c.flags &^= paused | refeed | yielded
	c.linger()
	c.dropInput()
}

// CloseWrite closes our half in order: it sends what Write accepted, then a FIN. Reading goes on,
// and the connection stays open until Close, or until the peer closes its half too. A second
// CloseWrite does nothing.
func (c *Conn) CloseWrite() {
	c.touch()
	c.flags |= writeClosed
}

// Abort ends the connection at once: it drops what is queued, and the peer sees a reset. Closed
// gets ErrAborted, after the current call of the Protocol has returned.
func (c *Conn) Abort() { c.end(ErrAborted) }

// end stops everything. settle closes the descriptor.
func (c *Conn) end(reason error) {
	if c.state >= ended {
		c.endLater(reason, false)
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

// fail ends a connection for which the kernel reported an error. After Close the error matters only
// if bytes are unsent, or lost in the kernel: a peer that has received the whole reply may answer
// our FIN with a reset.
func (c *Conn) fail(err error) {
	if c.state != closing || c.out.Len() > 0 || c.flags&finSent == 0 {
		c.end(resetError(err))
		return
	}
	c.state = ended
	c.touch()
	if lost, _ := c.loop.sockets.Unacknowledged(int(c.fd)); lost > 1 { // a FIN counts as one
		if c.err == nil {
			c.err = resetError(err)
		}
		c.err = &UnsentError{Reason: c.err, Bytes: lost}
	}
}

// sendFin shuts our half down if that was asked for and everything is flushed. It ends a connection
// both of whose halves are closed.
func (l *loop) sendFin(c *Conn) {
	if c.flags&(layered|writeClosed|finSent) == layered|writeClosed && !l.sealEnd(c) {
		return
	}
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

// finish gives back everything that c owns, calls Closed, and then closes the descriptor, so that
// Closed can still ask for addresses. If Closed panics, settle goes on behind it.
func (l *loop) finish(c *Conn) {
	cause := l.cause(c)
	if c.flags&released != 0 {
		l.gather(c)
		c.out.Abandon(&l.memory.pool)
	}
	unsent := c.out.Len()
	l.vacateProxied(c)
	c.state = closed
	if c.flags&handed == 0 {
		c.fate.Store(isClosed)
	}
	c.out.Abandon(&l.memory.pool)
	l.memory.sweepGrowth()
	c.dropInput()
	l.endGrace(c)
	l.forgetLook(c)
	c.stopTimers()
	l.conns.Remove(c.slot, c.gen)
	l.forget(c)
	l.forgetLayer(c)
	l.countHandshake(c, cause)
	reason := c.err
	if c.flags&connecting != 0 { // it was not counted: see dialing.post
		l.stats.Closed[CauseDial]++
	} else {
		l.load.Add(-1)
		l.stats.Closed[cause]++
	}
	if unsent > 0 {
		reason = &UnsentError{Reason: reason, Bytes: unsent}
		c.flags |= cutOff
	}
	if p := c.proto; p != nil {
		c.err = reason // for the Observer, also if Closed panics
		l.enter(c)
		p.Closed(reason)
		l.exit()
		l.observeClosed(c)
	}
	l.dispose(c)
}

// cause returns the class of c's reason. That may be an error of the user's, whose methods may
// panic: then finish is called again, and the error counts as one without a cause. So does one that
// names no cause that there is.
func (l *loop) cause(c *Conn) Cause {
	if c.flags&asked != 0 {
		return CauseProtocol
	}
	c.flags |= asked
	l.enter(c)
	cause := causeOf(c.err)
	l.exit()
	if cause < 0 || cause >= Causes {
		return CauseProtocol
	}
	return cause
}

// dispose closes the descriptor or hands it over. It resets the connection where a FIN would claim
// that all was sent. It drops the Protocol, so that a Handle does not keep it alive.
func (l *loop) dispose(c *Conn) {
	fd := int(c.fd)
	c.fd, c.proto, c.err = -1, nil, nil
	if c.flags&released != 0 {
		l.handOver(c, fd)
		return
	}
	l.forgetProxied(c)
	if c.flags&handed != 0 { // the poller has forgotten it
		l.engine.backend.Leave(fd)
		return
	}
	l.poller.Close(fd, c.flags&cutOff != 0)
}
