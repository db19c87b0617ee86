package engine

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/quota"
)

// adopt makes a connection of an accepted descriptor. early is what was already read from it, and y
// is the layer that it has already.
func (l *loop) adopt(fd int, ln *Listener, client *quota.Client, early []byte, y *adoptedLayer) {
	l.stats.Accepted++
	c := &Conn{loop: l, fd: int32(fd), times: times{active: l.tick}}
	c.slot, c.gen = l.conns.Insert(c)
	if p := ln.place; p != nil {
		l.remember(c, p.listener, p.client)
	} else {
		l.remember(c, ln, client)
	}
	c.flags |= wantRead
	if err := l.poller.Register(fd, c.token(), driver.Read); err != nil {
		c.end(resetError(err))
	}
	// Accepted connections have NoDelay from their listener, adopted ones do not.
	if len(ln.acceptors) == 0 && ln.network != "unix" {
		l.sockets.SetOption(fd, driver.NoDelay, 1)
	}
	if ln.options {
		c.setOptions(&ln.config)
	}
	accept := ln.accept
	if ln.config.Layer != nil {
		accept = func(c *Conn) Protocol { return secure(c, ln.config.Layer, ln.accept, nil) }
	}
	if ln.proxy != nil {
		behind := accept
		accept = func(c *Conn) Protocol { return await(c, ln, behind) }
	}
	if ln.header != nil {
		l.setProxied(c, ln.header)
	}
	if len(early) > 0 { // before the accept function, which may release c, or panic
		c.in = l.memory.pool.Get(len(early))
		c.in.Append(early)
	}
	if y != nil {
		l.returnLayer(c, y)
	}
	if len(ln.unsent) > 0 {
		c.out.Own(&l.memory.pool, ln.unsent)
		c.touch()
	}
	c.flags |= ln.half // behind all that is sent
	if l.departing != nil {
		l.departing.comes(l)
	}
	l.attach(c, accept) // if this panics, what it has written is flushed
	l.settleInBudget(c)
}

// setOptions sets what c does not inherit from its listening socket. An error means that it is
// already closed.
func (c *Conn) setOptions(lc *ListenConfig) {
	if lc.KeepAlive > 0 {
		c.SetKeepAlive(lc.KeepAlive)
	}
	if lc.ReadBuffer > 0 {
		c.SetReadBuffer(lc.ReadBuffer)
	}
	if lc.WriteBuffer > 0 {
		c.SetWriteBuffer(lc.WriteBuffer)
	}
}

// attach asks user code for the Protocol of a new connection.
func (l *loop) attach(c *Conn, accept func(*Conn) Protocol) {
	if l.stopping {
		l.untold = append(l.untold, c) // continueStop tells it, or cuts it
	}
	c.flags |= unannounced // and stays so if accept panics
	l.enter(c)
	p := accept(c)
	if p != nil {
		c.SetProtocol(p)
		c.flags &^= swapped
	}
	l.exit()
	if c.proto == nil {
		c.refuse()
	} else {
		l.announce(c)
	}
}

// refuse ends a connection for which user code has returned no Protocol: at once if nothing is to
// be sent, and otherwise in order.
func (c *Conn) refuse() {
	switch {
	case c.state == open && c.Outbound() == 0:
		c.end(ErrRefused)
	case c.state == closing && c.err == nil: // it has called Close
		c.err = ErrRefused
	default:
		c.CloseWith(ErrRefused)
	}
}

// remember notes which listener counts c. Only listeners with limits of their own need it.
func (l *loop) remember(c *Conn, ln *Listener, client *quota.Client) {
	if !ln.counts() {
		return
	}
	all := &l.accepting.admitted
	for all.Len() <= c.slot {
		all.Grow()
	}
	*all.At(c.slot) = admitted{ln, client}
	c.flags |= counted
}

func (l *loop) forget(c *Conn) {
	if c.flags&counted != 0 {
		a := l.accepting.admitted.At(c.slot)
		a.listener.dismiss(a.client)
		*a = admitted{}
	}
}
