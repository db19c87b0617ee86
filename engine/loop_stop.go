package engine

import (
	"math"

	"github.com/myriadnet/myriad/engine/internal/table"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// stopOrderly begins the loop's orderly end. continueStop tells the connections.
func (l *loop) stopOrderly() {
	if l.stopping {
		return
	}
	l.stopping = true // settlePackets ends the datagram sockets
	for c := range l.conns.All() {
		if c.flags&connecting == 0 { // attach adds it if it connects
			l.untold = append(l.untold, c)
		}
	}
}

// continueStop ends the listeners, and tells connections one by one that the engine is shutting
// down, since each of these is a call of user code. Peers that the kernel has already connected are
// accepted first and dismissed in order; closing the listener would reset them. Those of a shared
// listener are left to whoever accepts next.
func (l *loop) continueStop() {
	if !l.stopping {
		return
	}
	begun := l.poller.Now() - l.yielding.away
	for _, a := range l.accepting.acceptors {
		if a != nil && (a.shared.Load() || !l.tookLong(begun, tasksLeast) && l.acceptLast(a)) {
			l.closeAcceptor(a)
		}
	}
	l.failDials(ErrShutdown)
	begun = l.poller.Now() - l.yielding.away
	for n := len(l.untold); n > 0 && !l.tookLong(begun, tasksLeast); n = len(l.untold) {
		c := l.untold[n-1]
		l.untold[n-1] = nil
		l.untold = l.untold[:n-1]
		switch {
		case l.cutting:
			l.cut(c)
		case c.state == open && c.flags&told == 0: // it may be listed twice: see thaw
			l.sayShutdown(c)
		}
		if c.flags&touched != 0 {
			l.settleInBudget(c)
		}
		l.spend(closeWork)
	}
}

// acceptLast accepts more of the backlog, and reports whether that was all, or is enough.
func (l *loop) acceptLast(a *acceptor) (done bool) {
	a.until = min(a.burst+lastTurn, lastAccepts)
	if a.burst < a.until {
		l.poller.Accept(a.token, (*sink)(l))
	}
	return a.burst < a.until || a.burst >= lastAccepts
}

func (l *loop) sayShutdown(c *Conn) {
	if c.abilities&hasShutdown == 0 {
		c.CloseWith(ErrShutdown)
		return
	}
	c.flags |= told // before the call, which may replace the Protocol
	l.enter(c)
	c.proto.(Shutdowner).Shutdown()
	l.exit()
}

// stopAtOnce begins the loop's abrupt end. continueStop cuts the connections that are on their way
// to the loop when they arrive.
func (l *loop) stopAtOnce() {
	l.stopOrderly()
	l.cutting = true
	l.endPackets()
	l.closeAcceptors()
	l.untold = nil
	for c := range l.conns.All() {
		l.cut(c)
	}
}

// cut aborts c because the engine ends. A frozen one may be another process's: thaw cuts it.
func (l *loop) cut(c *Conn) {
	if c.state == frozen {
		return
	}
	if c.state < ended && c.flags&connecting == 0 {
		l.engine.cut.Add(1)
	}
	c.end(ErrShutdown)
}

// last ends a loop that has nothing to wait for, or whose driver has failed. From here on push
// returns ErrClosed. What was pushed before is run, and what is left then is told. This calls user
// code: if that panics, last is called again.
func (l *loop) last() {
	l.leaving = true
	l.ticking = ticking{next: never}
	l.stopping = true // the driver may have failed before anybody asked for the end
	l.tasks.queue.Close()
	reason := ErrShutdown
	if l.driverErr != nil {
		reason = resetError(l.driverErr)
	}
	l.abandonFrozen(reason)
	for l.tasks.unfinished != nil || !l.tasks.queue.Empty() || len(l.tasks.thawed) > 0 {
		l.runTasks()
	}
	for len(l.arrivals) > 0 {
		l.continueArrival()
	}
	l.failDials(reason)
	l.untold = nil
	for c := range l.conns.All() { // the driver has failed, or a task has just adopted them
		if l.driverErr != nil {
			c.end(reason)
		} else {
			l.cut(c)
		}
	}
	for !l.dirty.isEmpty() {
		l.settleDirty()
	}
	for l.endPackets(); l.packets.conns.Len() > 0 || l.packetsPending(); {
		l.settlePackets()
	}
}

// shut closes what is the loop's own.
func (l *loop) shut() {
	l.ended = true
	l.memory.pool.Sweep(math.MaxInt)
	l.publish(l.buffered())
	l.closeAcceptors()
	if l.accepting.spare >= 0 {
		l.engine.backend.CloseFd(l.accepting.spare)
	}
	l.poller.Shut()
	l.free()
	l.callback.inTurn.Store(false)
	close(l.over)
	l.engine.loopDone(l)
}

// free drops what a loop that has ended needs no more: a Handle that is kept keeps the loop.
func (l *loop) free() {
	l.memory.free()
	l.conns, l.timers, l.dirty = table.Table[Conn]{}, table.Table[Timer]{}, dirtyList{}
	l.packets, l.headers, l.layers = packets{}, headers{}, layers{}
	if l.wheel.Len() == 0 {
		l.wheel = wheel.Wheel{}
	}
}
