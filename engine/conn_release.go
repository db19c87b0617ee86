package engine

import "net"

// Release takes the connection out of the engine and hands its socket to take, as a net.Conn for a goroutine of the
// caller's. The peer does not notice.
//
// It happens when the current call of the Protocol has returned: the Protocol's Closed gets ErrReleased, then take is
// called, once, on the loop, which it must not block. unread is what was received and not consumed, by a Feed that was
// under way either; unsent is what Write accepted and the kernel has not taken yet: whoever goes on must write it first.
// Both belong to take. err says that no net.Conn could be made (EMFILE); then the connection is closed.
//
// The error of Release is ErrClosed on a connection that is closing or closed; take is not called then.
func (c *Conn) Release(take func(nc net.Conn, unread, unsent []byte, err error)) error {
	if c.state != open {
		return ErrClosed
	}
	c.end(ErrReleased)
	c.flags |= released
	if c.loop.releases == nil {
		c.loop.releases = make(map[*Conn]leftover)
	}
	c.loop.releases[c] = leftover{take: take}
	return nil
}

// leftover is what goes with a released connection.
type leftover struct {
	take           func(nc net.Conn, unread, unsent []byte, err error)
	unread, unsent []byte
}

// gather collects c's bytes before its buffers go back to the pool.
func (l *loop) gather(c *Conn) {
	r := l.releases[c]
	if c.flags&blocked == 0 {
		c.flush() // an error is the new owner's to find
	}
	for _, b := range c.out.Vector(make([][]byte, 0, c.out.Chunks())) {
		r.unsent = append(r.unsent, b...)
	}
	if c.in != nil {
		r.unread = append(r.unread, c.in.Bytes()...)
	}
	l.releases[c] = r
}

// handOver is what happens to a released connection's descriptor in the place of closing it.
func (l *loop) handOver(c *Conn, fd int) {
	r := l.releases[c]
	delete(l.releases, c)
	l.poller.Unregister(fd, interest(c.flags&(wantRead|wantWrite)))
	nc, err := l.engine.backend.NetConn(fd)
	if err != nil {
		r.unread, r.unsent = nil, nil
	}
	l.enter(nil)
	r.take(nc, r.unread, r.unsent, err)
	l.exit()
}
