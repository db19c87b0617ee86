package engine

// stopOrderly begins the loop's orderly end. continueStop tells the connections.
func (l *loop) stopOrderly() {
	if l.stopping {
		return
	}
	l.stopping = true // settlePackets ends the datagram sockets
	for c := range l.conns.All() {
		l.untold = append(l.untold, c)
	}
}

// continueStop ends the listeners, and tells connections one by one that the engine is shutting
// down, since each of these is a call of user code. Peers that the kernel has already connected are
// accepted first and dismissed in order; closing the listener would reset them.
func (l *loop) continueStop() {
	if !l.stopping {
		return
	}
	for _, ln := range l.accepting.listeners {
		if ln != nil {
			l.poller.Accept(ln.fd, ln.token, (*sink)(l))
			l.closeListener(ln)
		}
	}
	l.failDials(ErrShutdown)
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
	l.endPackets()
	l.closeListeners()
	l.untold = nil
	for c := range l.conns.All() {
		if c.state < ended {
			l.engine.cut.Add(1)
		}
		c.end(ErrShutdown)
	}
}

// shut ends the loop. It discards the tasks that are left, and closes the driver.
func (l *loop) shut() {
	l.ended = true
	l.tasks.queue.Close()
	for l.discardTask() {
	}
	for c := range l.conns.All() { // only if the driver failed
		c.end(ErrReset)
		l.finish(c)
	}
	l.publish(l.memory.pool.Bytes())
	for l.endPackets(); l.packets.conns.Len() > 0 || l.packetsPending(); {
		l.settlePackets()
	}
	l.closeListeners()
	if l.accepting.spare >= 0 {
		l.engine.backend.CloseFd(l.accepting.spare)
	}
	l.poller.Shut()
	l.callback.inTurn.Store(false)
	l.engine.loopDone(l)
}
