package engine

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// This file is the loop's part of datagram sockets: batches in, batches out.

const (
	outgoingMax   = 256       // datagrams that are gathered for one Send
	outgoingBytes = 256 << 10 // and their bytes
	packetPanics  = time.Second
)

// receiving is a batch on its way to a PacketProtocol. It is the loop's, so that a panic costs only the datagram that
// caused it.
type receiving struct {
	conn   *PacketConn
	batch  []driver.Datagram
	next   int // in batch
	at     int // in what the kernel has joined
	logged time.Duration
}

// outgoing gathers what one socket sends in a delivery or turn. Datagrams lie one behind the other in arena, which lets a
// driver give runs of them to the kernel as one.
type outgoing struct {
	conn  *PacketConn
	batch []driver.Datagram
	arena []byte
	used  int
}

// packetConn is the socket that t names, nil if t is stale.
func (l *loop) packetConn(t driver.Token) *PacketConn {
	return l.packetConns.Get(t.Slot()&^driver.DatagramBit, t.Generation())
}

// open begins a socket's life.
func (p *PacketConn) open(accept func(*PacketConn) PacketProtocol) {
	l := p.loop
	if l.stopping {
		p.closed = true
		l.engine.backend.CloseFd(p.fd)
		p.unlink()
		return
	}
	slot, gen := l.packetConns.Insert(p)
	p.token = driver.MakeToken(slot|driver.DatagramBit, gen)
	if err := l.driver.Register(p.fd, p.token, driver.Read); err != nil {
		p.end(fmt.Errorf("engine: listen: %w", err))
		return
	}
	defer func() {
		if p.proto == nil { // accept has returned none, or has panicked
			p.end(ErrRefused)
		}
	}()
	p.proto = accept(p)
}

// Datagrams implements driver.Sink. A batch is a socket's share of a turn: what has not fitted is reported again.
func (s *sink) Datagrams(t driver.Token) {
	l := (*loop)(s)
	p := l.packetConn(t)
	if p == nil || p.closed {
		return
	}
	if l.receiving.conn != nil { // a panic interrupted the delivery of the batch before
		l.deliverPackets()
	}
	batch, err := l.driver.Receive(p.fd)
	if err != nil {
		if err != syscall.EAGAIN {
			l.stats.PacketErrors++ // of an earlier datagram, by ICMP: receiving goes on
		}
		return
	}
	l.receiving.conn, l.receiving.batch = p, batch
	l.deliverPackets()
}

// deliverPackets hands out what is left of the batch.
func (l *loop) deliverPackets() {
	r := &l.receiving
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
	r.conn, r.batch, r.next, r.at = nil, nil, 0, 0
	l.sendPackets()
}

// WriteTo sends a datagram. b is copied; it goes out with others when the current delivery or turn of the loop ends. What
// the kernel does not take at once is queued, up to Config.MaxOutbound bytes; more is refused with ErrOutboundLimit, and
// the socket goes on. The other errors are ErrClosed, and one for a datagram of more than MaxDatagram bytes. That the kernel
// refused the datagram is told to PacketFailer, and counted; that the network loses one, nobody can tell.
func (p *PacketConn) WriteTo(b []byte, to PacketAddr) error {
	l := p.loop
	switch {
	case p.closed:
		return ErrClosed
	case len(b) > MaxDatagram:
		return fmt.Errorf("engine: datagram of %d bytes, over the limit of %d: %w", len(b), MaxDatagram, syscall.EMSGSIZE)
	case p.blocked:
		if p.queued+len(b) > l.config.MaxOutbound {
			return &limitError{ErrOutboundLimit, l.config.MaxOutbound}
		}
		p.enqueue(driver.Datagram{Data: b, Peer: driver.Peer(to)})
		return nil
	}
	o := &l.outgoing
	if o.conn != p || len(o.batch) == outgoingMax || o.used+len(b) > len(o.arena) {
		if l.sendPackets(); p.blocked {
			return p.WriteTo(b, to)
		}
		if o.conn = p; o.arena == nil {
			o.arena, o.batch = make([]byte, outgoingBytes), make([]driver.Datagram, 0, outgoingMax)
		}
	}
	data := o.arena[o.used : o.used+copy(o.arena[o.used:], b)]
	o.used += len(b)
	o.batch = append(o.batch, driver.Datagram{Data: data, Peer: driver.Peer(to)})
	return nil
}

func (p *PacketConn) enqueue(g driver.Datagram) {
	g.Data = append([]byte(nil), g.Data...)
	p.queue = append(p.queue, g)
	p.queued += len(g.Data)
}

// sendPackets sends what was gathered.
func (l *loop) sendPackets() {
	o := &l.outgoing
	p := o.conn
	if p == nil {
		return
	}
	for _, g := range o.batch[p.send(o.batch):] {
		p.enqueue(g)
	}
	o.conn, o.batch, o.used = nil, o.batch[:0], 0
}

// send gives datagrams to the kernel, and says of how many it has disposed: the rest has to wait.
func (p *PacketConn) send(batch []driver.Datagram) (done int) {
	l := p.loop
	for done < len(batch) {
		n, err := l.driver.Send(p.fd, p.inet6, batch[done:])
		for _, g := range batch[done : done+n] {
			l.stats.BytesWritten += uint64(len(g.Data))
		}
		l.stats.PacketsSent += uint64(n)
		done += n
		switch err {
		case nil:
			continue
		case syscall.EAGAIN:
			if batch[done].Peer.Path != "" { // it is that one peer who takes no more, and nothing would tell when he does
				break
			}
			if !p.blocked && !p.closed {
				p.blocked = true
				p.wait(driver.Read, driver.Read|driver.Write)
			}
			return done
		}
		l.stats.PacketErrors++
		l.refusedPackets = append(l.refusedPackets, refusedPacket{p, PacketAddr(batch[done].Peer), err})
		done++
	}
	return done
}

// refusedPacket waits to be told to a PacketFailer, outside of any other call.
type refusedPacket struct {
	conn *PacketConn
	to   PacketAddr
	err  error
}

// writablePackets sends what has waited.
func (l *loop) writablePackets(p *PacketConn) {
	if p == nil || !p.blocked || p.closed {
		return
	}
	n := p.send(p.queue)
	for _, g := range p.queue[:n] {
		p.queued -= len(g.Data)
	}
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue, p.blocked = nil, false
		p.wait(driver.Read|driver.Write, driver.Read)
	}
}

func (p *PacketConn) wait(from, to driver.Interest) {
	if err := p.loop.driver.SetInterest(p.fd, p.token, from, to); err != nil {
		p.end(fmt.Errorf("engine: %w", err))
	}
}

// end marks the socket; settlePackets does the rest.
func (p *PacketConn) end(reason error) {
	if !p.closed {
		p.closed, p.reason = true, reason
		p.loop.endedPackets = append(p.loop.endedPackets, p)
	}
}

// packetsPending says that settlePackets has something to do.
func (l *loop) packetsPending() bool {
	return len(l.endedSessions) > 0 || l.packetConns.Len() > 0 && (l.receiving.conn != nil || l.outgoing.conn != nil ||
		len(l.refusedPackets) > 0 || len(l.endedPackets) > 0)
}

// settlePackets is what a turn has left to do for datagram sockets. Each step takes up where a panic left it.
func (l *loop) settlePackets() {
	if l.receiving.conn != nil { // a panic interrupted the delivery
		l.deliverPackets()
	}
	l.sendPackets()
	for len(l.refusedPackets) > 0 {
		r := l.refusedPackets[0]
		l.refusedPackets = l.refusedPackets[1:]
		if f, ok := r.conn.proto.(PacketFailer); ok && !r.conn.closed {
			l.enter(nil)
			f.Failed(r.to, r.err)
			l.exit()
		}
	}
	l.refusedPackets = nil
	l.settleSessions()
	for len(l.endedPackets) > 0 {
		p := l.endedPackets[0]
		l.endedPackets = l.endedPackets[1:]
		l.finishPackets(p)
	}
	l.endedPackets = nil
}

func (l *loop) finishPackets(p *PacketConn) {
	if l.outgoing.conn == p { // written since, by Failed or by a session's Closed
		l.sendPackets()
	}
	if len(p.queue) > 0 {
		if n := p.send(p.queue); n < len(p.queue) {
			p.reason = &UnsentError{Reason: p.reason, Bytes: p.queued}
		}
		p.queue = nil
	}
	for p.timers != nil {
		p.timers.Stop()
	}
	l.packetConns.Remove(p.token.Slot()&^driver.DatagramBit, p.token.Generation())
	l.driver.Close(p.fd, false)
	p.unlink()
	if p.proto == nil {
		l.config.Logger.Error("engine: cannot serve", "address", p.listener.String(), "error", p.reason)
		return
	}
	l.enter(nil)
	p.proto.Closed(p.reason)
	l.exit()
}

func (p *PacketConn) unlink() {
	if p.listener.path != "" {
		os.Remove(p.listener.path)
	}
}

// endPackets ends all datagram sockets.
func (l *loop) endPackets() {
	for p := range l.packetConns.All() {
		p.end(ErrShutdown)
	}
}
