package engine

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const (
	outgoingMax   = 256       // datagrams that are gathered for one Send
	outgoingBytes = 256 << 10 // and their bytes
)

// datagramCost is the memory of a queued datagram besides its bytes: its place in a queue that
// grows by doubling, and what an allocation is rounded up to.
const datagramCost = int(unsafe.Sizeof(driver.Datagram{}))*3/2 + 16

// outgoing gathers what one socket sends in a delivery or turn. The datagrams are adjacent in
// arena, so that a driver can pass runs of them to the kernel as one.
type outgoing struct {
	conn  *PacketConn
	batch []driver.Datagram
	arena []byte
	used  int
}

// WriteTo sends a datagram. It copies b, which goes out with others when the current delivery or
// turn of the loop ends. What the kernel does not take at once is queued, up to Config.MaxOutbound
// bytes, to which each datagram adds about 140. Above that WriteTo returns ErrOutboundLimit, and
// the socket goes on. The other errors are ErrClosed, and one that wraps EMSGSIZE for more than
// MaxDatagram bytes. If the kernel refuses the datagram later, that is counted, and PacketFailer is
// told.
func (p *PacketConn) WriteTo(b []byte, to PacketAddr) error {
	if p.closed {
		return ErrClosed
	}
	l := p.loop
	l.checkTurn()
	switch {
	case len(b) > MaxDatagram:
		return fmt.Errorf("engine: datagram of %d bytes, over the limit of %d: %w", len(b), MaxDatagram,
			syscall.EMSGSIZE)
	case p.blocked:
		if p.queueCost()+datagramCost+len(b) > max(l.config.MaxOutbound, datagramCost+len(b)) {
			return &limitError{ErrOutboundLimit, l.config.MaxOutbound}
		}
		p.enqueue(driver.Datagram{Data: b, Peer: driver.Peer(to)})
		return nil
	}
	o := &l.packets.outgoing
	if o.conn != p || len(o.batch) == outgoingMax || o.used+len(b) > len(o.arena) {
		if l.sendPackets(); p.blocked {
			return p.WriteTo(b, to)
		}
		o.conn = p
		if o.arena == nil {
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
	p.loop.memory.held += datagramCost + len(g.Data)
}

// queueCost returns the memory of the queue.
func (p *PacketConn) queueCost() int { return p.queued + len(p.queue)*datagramCost }

// dequeue takes the first n datagrams off the queue.
func (p *PacketConn) dequeue(n int) {
	for _, g := range p.queue[:n] {
		p.queued -= len(g.Data)
		p.loop.memory.held -= datagramCost + len(g.Data)
	}
	clear(p.queue[:n])
	p.queue = p.queue[n:]
}

// sendPackets sends what was gathered.
func (l *loop) sendPackets() {
	o := &l.packets.outgoing
	p := o.conn
	if p == nil {
		return
	}
	for _, g := range o.batch[p.send(o.batch):] {
		p.enqueue(g)
	}
	o.conn, o.batch, o.used = nil, o.batch[:0], 0
}

// send passes datagrams to the kernel. It returns how many of them are done with; the rest has to
// wait.
func (p *PacketConn) send(batch []driver.Datagram) (done int) {
	l := p.loop
	for done < len(batch) {
		n, err := l.sockets.Send(p.fd, p.inet6, batch[done:])
		for _, g := range batch[done : done+n] {
			l.stats.BytesWritten += uint64(len(g.Data))
		}
		l.stats.PacketsSent += uint64(n)
		done += n
		switch err {
		case nil:
			continue
		case syscall.EAGAIN:
			// Only this peer takes no more, and no event would say when it does.
			if batch[done].Peer.Path != "" {
				break
			}
			if !p.blocked && !p.closed {
				p.blocked = true
				p.wait(driver.Read, driver.Read|driver.Write)
			}
			return done
		}
		l.stats.PacketErrors++
		l.packets.refused = append(l.packets.refused, refusedPacket{p, PacketAddr(batch[done].Peer), err})
		done++
	}
	return done
}

// writablePackets sends what has waited, as much as is a socket's share of a turn.
func (l *loop) writablePackets(p *PacketConn) {
	if p == nil || !p.blocked || p.closed {
		return
	}
	p.dequeue(p.send(p.queue[:min(len(p.queue), outgoingMax)]))
	p.loop.spend(outgoingMax * eventWork)
	if len(p.queue) == 0 {
		p.queue, p.blocked = nil, false
		p.wait(driver.Read|driver.Write, driver.Read)
	}
}
