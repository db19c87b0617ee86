package engine

// freeze makes c ready to move and adds it to b. If it cannot move, it goes on, and o says why.
func (l *loop) freeze(c *Conn, b *departure) (o obstacle, ok bool) {
	if c.flags&touched != 0 && c.state < closed {
		l.settleInBudget(c)
	}
	if o, ok := c.mayMove(); !ok {
		return o, false
	}
	if c.inbound()+c.out.Len() > stateMax { // before it is copied, which takes 100 ms
		return obstacleSize, false
	}
	b.makeRoom(stateRoom + c.inbound() + c.out.Len())
	begin := len(b.state)
	state, o, err := l.save(c, append(b.state, make([]byte, lengthSize)...))
	switch {
	case err != nil:
		l.noteObstacle(c, err)
		return o, false
	case c.state != open: // Save has closed it
		c.mark()
		return obstacleState, false
	}
	if o, ok := c.mayMove(); !ok { // Save has begun something, such as a timer
		clear(state[begin:])
		return o, false
	}
	state, err = c.appendMoved(state, begin)
	b.state = state[:begin] // it may have moved, and what it has left is wiped then
	switch {
	case err != nil:
		l.noteObstacle(c, err)
		clear(state[begin:])
		return obstacleOf(err), false
	case len(state)-begin > stateMax:
		clear(state[begin:])
		return obstacleSize, false
	}
	l.poller.Unregister(int(c.fd), interest(c.flags&(wantRead|wantWrite)))
	l.disarm(c)
	c.flags &^= wantRead | wantWrite
	c.flags |= blocked // so that what is written is queued
	c.state = frozen
	b.state = state
	b.conns = append(b.conns, c)
	b.ranges = append(b.ranges, len(state))
	b.given = append(b.given, c.out.Len())
	return "", true
}

// mayMove reports whether c can move now, as far as the engine can tell.
func (c *Conn) mayMove() (o obstacle, ok bool) {
	switch {
	case c.state != open, c.flags&(connecting|patient|released) != 0:
		return obstacleState, false
	case c.flags&unannounced != 0:
		return obstacleHandshake, false
	}
	if _, ok := c.proto.(Saver); !ok {
		return obstacleProtocol, false
	}
	for t := c.timers; t != nil; t = t.next {
		if !t.stays {
			return obstacleTimer, false
		}
	}
	return "", true
}

// save calls Save. That gets room behind dst, and not dst itself: whatever it returns, the states
// of other connections stay as they are. o is what an error stands for, whose methods are the
// user's, too.
func (l *loop) save(c *Conn, dst []byte) (_ []byte, o obstacle, err error) {
	l.departing.panics++ // unless it returns
	l.enter(c)
	state, err := c.proto.(Saver).Save(c, dst[len(dst):])
	if err != nil {
		o = obstacleOf(err)
	}
	l.exit()
	l.departing.panics--
	return append(dst, state...), o, err
}

// stateRoom is how much room a batch has for another state: most states fit, so that growing leaves
// no copies of them, which may have keys.
const stateRoom = 128 << 10

// makeRoom makes room for another state of n bytes.
func (b *departure) makeRoom(n int) {
	if cap(b.state)-len(b.state) >= n {
		return
	}
	state := make([]byte, len(b.state), max(2*cap(b.state), len(b.state)+n))
	copy(state, b.state)
	clear(b.state)
	b.state = state
}

// noteObstacle logs, at the end of the patience, why a connection stays.
func (l *loop) noteObstacle(c *Conn, err error) {
	if l.now >= l.departing.deadline {
		l.config.Logger.Debug("engine: a connection cannot move to another process", "peer", c.RemoteAddr(),
			"error", err)
	}
}
