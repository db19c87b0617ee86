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
	c.flags |= released
	c.end(ErrReleased)
	if c.loop.releases == nil {
		c.loop.releases = make(map[*Conn]func(net.Conn, []byte, []byte, error))
	}
	c.loop.releases[c] = take
	return nil
}

// leftover is what goes with a released connection.
type leftover struct {
	take           func(nc net.Conn, unread, unsent []byte, err error)
	unread, unsent []byte
}

// leftover collects c's bytes before its buffers go back to the pool.
func (l *Loop) leftover(c *Conn) (r leftover) {
	r.take = l.releases[c]
	delete(l.releases, c)
	if c.flags&blocked == 0 {
		c.flush() // an error is the new owner's to find
	}
	for _, b := range c.out.Vector(make([][]byte, 0, c.out.Chunks())) {
		r.unsent = append(r.unsent, b...)
	}
	if c.in != nil {
		r.unread = append(r.unread, c.in.Bytes()...)
	}
	return r
}

// handOver is what happens to a released connection's descriptor in the place of closing it.
func (l *Loop) handOver(c *Conn, r leftover) {
	fd := int(c.fd)
	c.fd, c.proto, c.err = -1, nil, nil
	l.driver.Release(fd, c.token(), interest(c.flags&(wantRead|wantWrite)))
	nc, err := l.engine.backend.NetConn(fd)
	if err != nil {
		r.unread, r.unsent = nil, nil
	}
	l.enter(nil)
	r.take(nc, r.unread, r.unsent, err)
	l.exit()
}
