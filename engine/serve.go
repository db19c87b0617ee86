package engine

import "github.com/myriadnet/myriad/engine/internal/driver"

// This file takes connections up, and takes leave of them when the engine shuts down.

// adopt makes a connection of an accepted descriptor; early is what was read from it before.
func (l *loop) adopt(fd int, ln *Listener, caller *caller, early []byte) {
	l.stats.Accepted++
	c := &Conn{loop: l, fd: int32(fd), active: l.tick}
	c.slot, c.gen = l.conns.Insert(c)
	l.remember(c, ln, caller)
	c.flags |= wantRead
	if err := l.driver.Register(fd, c.token(), driver.Read); err != nil {
		c.end(resetError(err))
	}
	if ln.token == 0 && ln.network != "unix" { // of Adopt; others have it from their listener
		l.driver.SetOption(fd, driver.NoDelay, 1)
	}
	l.attach(c, ln.accept) // which may panic: what it has written is flushed then
	if len(early) > 0 && c.state == open {
		c.in = l.pool.Get(len(early))
		c.in.Append(early)
		c.offerAgain()
	}
	l.settle(c)
}

// attach asks user code for the Protocol of a new connection.
func (l *loop) attach(c *Conn, accept func(*Conn) Protocol) {
	l.enter(c)
	p := accept(c)
	if p != nil {
		c.SetProtocol(p)
		c.flags &^= swapped
	}
	l.exit()
	if c.proto == nil {
		c.end(ErrRefused)
	} else {
		l.observeOpened(c)
	}
	if l.stopping && c.state == open {
		l.sayShutdown(c)
	}
}

// stopOrderly begins the loop's orderly end. The connections are told one by one, by continueStop, since their answers are calls
// of user code.
func (l *loop) stopOrderly() {
	if l.stopping {
		return
	}
	l.stopping = true
	l.endPackets()
	for c := range l.conns.All() {
		l.untold = append(l.untold, c)
	}
}

// continueStop ends the listeners and tells connections that the engine shuts down. Peers that the kernel has already connected
// are accepted, and dismissed in order, since closing the listener would reset them.
func (l *loop) continueStop() {
	if !l.stopping {
		return
	}
	for _, ln := range l.listeners {
		if ln != nil {
			l.driver.Accept(ln.fd, ln.token, (*sink)(l))
			l.closeListener(ln)
		}
	}
	for range tasksTurn {
		n := len(l.untold)
		if n == 0 {
			return
		}
		c := l.untold[n-1]
		l.untold[n-1] = nil
		l.untold = l.untold[:n-1]
		if c.state == open {
			l.sayShutdown(c)
			if c.flags&touched != 0 {
				l.settle(c)
			}
		}
	}
}

func (l *loop) sayShutdown(c *Conn) {
	if c.abilities&hasShutdown == 0 {
		c.CloseWith(ErrShutdown)
		return
	}
	l.enter(c)
	c.proto.(Shutdowner).Shutdown()
	l.exit()
}

// stopAtOnce begins the loop's abrupt end.
func (l *loop) stopAtOnce() {
	l.stopOrderly()
	l.closeListeners()
	l.untold = nil
	for c := range l.conns.All() {
		if c.state < ended {
			l.engine.cut.Add(1)
		}
		c.end(ErrShutdown)
	}
}
