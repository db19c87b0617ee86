package engine

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/table"
)

// packets is what a loop keeps for its datagram sockets.
type packets struct {
	conns     table.Table[PacketConn]
	receiving receiving
	outgoing  outgoing
	refused   []refusedPacket
	ended     []*PacketConn

	session       *Session // that a call is in progress for
	endedSessions []*Session
	leaving       []*sessions // whose sockets have ended, with sessions that are to end
	untold        []*Session  // that have not been told of the shutdown
}

// refusedPacket is a datagram that a PacketFailer is to be told of, after the current call.
type refusedPacket struct {
	conn *PacketConn
	to   PacketAddr
	err  error
}

// packetConn returns the socket that t names, nil if t is stale.
func (l *loop) packetConn(t driver.Token) *PacketConn {
	return l.packets.conns.Get(t.Slot()&^driver.DatagramBit, t.Generation())
}

// packetsPending reports whether settlePackets has something to do.
func (l *loop) packetsPending() bool {
	p := &l.packets
	return len(p.endedSessions) > 0 || len(p.leaving) > 0 || p.conns.Len() > 0 &&
		(l.stopping || p.receiving.conn != nil || len(p.receiving.waiting) > 0 || p.outgoing.conn != nil ||
			len(p.refused) > 0 || len(p.ended) > 0)
}

// settlePackets does what a turn leaves to do for datagram sockets, as long as the turn has time: a
// loop may have thousands of sockets.
func (l *loop) settlePackets() {
	l.continueReceiving()
	if l.stopping {
		l.shutdownPackets()
	}
	l.sendPackets()
	begun := l.poller.Now() - l.yielding.away
	// Only those that are there now: one that Failed sends again may be refused again.
	for n := len(l.packets.refused); n > 0 && !l.tookLong(begun, tasksLeast); n-- {
		r := l.packets.refused[0]
		l.packets.refused = l.packets.refused[1:]
		if f, ok := r.conn.proto.(PacketFailer); ok && !r.conn.closed {
			l.enter(nil)
			f.Failed(r.to, r.err)
			l.exit()
		}
		l.spend(eventWork)
	}
	if len(l.packets.refused) == 0 {
		l.packets.refused = nil
	}
	l.settleSessions()
	begun = l.poller.Now() - l.yielding.away
	for len(l.packets.ended) > 0 {
		p := l.packets.ended[0]
		l.packets.ended = l.packets.ended[1:]
		l.finishPackets(p)
		l.spend(closeWork)
		if l.tookLong(begun, tasksLeast) {
			return
		}
	}
	l.packets.ended = nil
}

func (l *loop) finishPackets(p *PacketConn) {
	if l.packets.outgoing.conn == p { // written meanwhile, by Failed or by a session's Closed
		l.sendPackets()
	}
	if len(p.queue) > 0 {
		if p.dequeue(p.send(p.queue)); len(p.queue) > 0 {
			p.reason = &UnsentError{Reason: p.reason, Bytes: p.queued}
		}
		p.dequeue(len(p.queue))
		p.queue = nil
	}
	for p.timers != nil {
		p.timers.Stop()
	}
	l.packets.conns.Remove(p.token.Slot()&^driver.DatagramBit, p.token.Generation())
	p.listener.file.Remove()
	l.poller.Close(p.fd, false)
	if p.proto == nil {
		l.config.Logger.Error("engine: cannot serve", "address", p.listener.String(), "error", p.reason)
		return
	}
	l.enter(nil)
	p.proto.Closed(p.reason)
	l.exit()
}

// shutdownPackets tells the sockets and their sessions that the engine is shutting down, as long as
// the turn has time. When all know it, it ends all sockets.
func (l *loop) shutdownPackets() {
	begun := l.poller.Now() - l.yielding.away
	for p := range l.packets.conns.All() {
		if p.told || p.closed {
			continue
		}
		if l.tookLong(begun, tasksLeast) {
			return
		}
		p.told = true
		if s, ok := p.proto.(Shutdowner); ok {
			l.enter(nil)
			s.Shutdown()
			l.exit()
			l.spend(4 * eventWork)
		}
	}
	for len(l.packets.untold) > 0 {
		s := l.packets.untold[0]
		l.packets.untold = l.packets.untold[1:]
		if f, ok := s.proto.(Shutdowner); ok && !s.closed && !s.sessions.conn.closed {
			l.packets.session = s
			l.enter(nil)
			f.Shutdown()
			l.exit()
			l.packets.session = nil
		}
		l.spend(4 * eventWork)
		if len(l.packets.untold) > 0 && l.tookLong(begun, tasksLeast) {
			return
		}
	}
	l.packets.untold = nil
	// What was received comes first.
	if r := &l.packets.receiving; r.conn == nil && len(r.waiting) == 0 {
		l.endPackets()
	}
}

// endPackets ends all datagram sockets.
func (l *loop) endPackets() {
	for p := range l.packets.conns.All() {
		p.end(ErrShutdown)
	}
}
