package engine

import "github.com/myriadnet/myriad/engine/internal/driver"

// receiving is a batch of datagrams that is being delivered. It is a field of the loop, so that a
// panic costs only the datagram that caused it.
type receiving struct {
	conn  *PacketConn
	batch []driver.Datagram
	next  int // in batch
	at    int // in a run of datagrams that the kernel has joined
}

// deliverPackets delivers the rest of the batch.
func (l *loop) deliverPackets() {
	r := &l.packets.receiving
	l.enter(nil)
	for r.next < len(r.batch) && !r.conn.closed {
		g := &r.batch[r.next]
		b := g.Data[r.at:]
		if g.Segment > 0 && len(b) > g.Segment {
			b = b[:g.Segment:g.Segment]
			r.at += g.Segment
		} else {
			r.next, r.at = r.next+1, 0
		}
		l.stats.PacketsReceived++
		l.stats.BytesRead += uint64(len(b))
		r.conn.proto.Datagram(PacketAddr(g.Peer), b)
	}
	l.exit()
	work := len(r.batch) * eventWork
	r.conn, r.batch, r.next, r.at = nil, nil, 0, 0
	l.sendPackets()
	l.spend(work)
}
