package engine

import (
	"slices"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// receiving is a batch of datagrams that is being delivered. It is a field of the loop: a panic
// costs only the datagram that caused it, and a batch that makes much work is spread over turns.
type receiving struct {
	conn    *PacketConn // nil: there is no batch
	batch   []driver.Datagram
	next    int           // in batch
	at      int           // in a run of datagrams that the kernel has joined
	turn    uint64        // in which it was interrupted: it goes on in the next one
	taken   uint64        // the turn in which the last batch was taken
	calling bool          // a call of Datagram is in progress
	waiting []*PacketConn // sockets that come next, since the driver has only one batch
}

// deliveryMax is how many datagrams of a batch are delivered in a turn. A batch that the kernel has
// joined may have thousands.
const deliveryMax = 256

// mayReceive reports whether another batch may be taken in this turn. A loop may have a thousand
// sockets. Any turn takes one batch: a socket has many peers.
func (l *loop) mayReceive() bool {
	return !l.reading.over || l.packets.receiving.taken != l.stats.Turns
}

// receivePackets takes a batch from p's socket and delivers it.
func (l *loop) receivePackets(p *PacketConn) {
	l.packets.receiving.taken = l.stats.Turns
	batch, err := l.sockets.Receive(p.fd)
	if err != nil && err != syscall.EAGAIN {
		l.stats.PacketErrors++ // of an earlier datagram, by ICMP, or it is too long
	}
	if len(batch) == 0 {
		return
	}
	l.packets.receiving.conn, l.packets.receiving.batch = p, batch
	l.deliverPackets()
}

// deliverPackets delivers the rest of the batch, up to deliveryMax datagrams. It stops earlier when
// answers to it have filled the outgoing batch: each datagram that is sent costs about as much as
// one that is received, and a datagram of the peer may make many. It also stops after deliverTime:
// a callback may compute, or write to a thousand connections. continueReceiving goes on.
func (l *loop) deliverPackets() {
	r := &l.packets.receiving
	delivered, sent, long := 0, l.sentPackets(), false
	look, begun := 1, time.Duration(0) // one alone does not pay for the clock
	l.enter(nil)
	for r.next < len(r.batch) && !r.conn.closed &&
		delivered < deliveryMax && l.sentPackets() == sent && !long {
		g := &r.batch[r.next]
		b := g.Data[r.at:]
		if g.Segment > 0 && len(b) > g.Segment {
			b = b[:g.Segment:g.Segment]
			r.at += g.Segment
		} else {
			r.next, r.at = r.next+1, 0
		}
		delivered++
		l.stats.PacketsReceived++
		l.stats.BytesRead += uint64(len(b))
		r.calling = true
		r.conn.proto.Datagram(PacketAddr(g.Peer), b)
		r.calling = false
		switch {
		case delivered < look || r.next == len(r.batch):
		case delivered == 1:
			begun, look = l.poller.Now(), firstLook
		default:
			took := l.poller.Now() - begun
			long = took > deliverTime
			look += nextLook(delivered-1, took)
		}
	}
	l.exit()
	if r.next == len(r.batch) || r.conn.closed {
		r.conn, r.batch, r.next, r.at = nil, nil, 0, 0
	} else {
		r.turn = l.stats.Turns
	}
	l.sendPackets()
	work := (delivered + int(l.sentPackets()-sent)) * eventWork
	if long {
		work = max(work, yieldWork) // so that the clock is read, for others
	}
	l.spend(work)
}

// sentPackets returns how many datagrams were given to the kernel so far.
func (l *loop) sentPackets() uint64 { return l.stats.PacketsSent + l.stats.PacketErrors }

// continueReceiving delivers more of a batch that was interrupted, or the next one of a socket that
// has waited for its end.
func (l *loop) continueReceiving() {
	r := &l.packets.receiving
	if r.turn == l.stats.Turns {
		return
	}
	if r.conn != nil {
		l.deliverPackets()
	}
	for r.conn == nil && len(r.waiting) > 0 && l.mayReceive() {
		p := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		if !p.closed {
			l.receivePackets(p)
		}
	}
}
