package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const packetQueue = 1024 // datagrams that a socket holds before the next ones are lost

// packets is a datagram socket's part of a socket.
type packets struct {
	queue []driver.Datagram
	group map[netip.Addr]bool
}

// Packet is a datagram that the program under test has sent.
type Packet struct {
	From, To netip.AddrPort
	Data     []byte
}

// ListenPacket implements driver.Backend for UDP.
func (n *Network) ListenPacket(network, address string, o driver.PacketOptions) (int, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, err)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.nextPort())
	}
	for _, s := range n.fds {
		if s != nil && s.packets != nil && s.local == addr && !(s.reuse && o.ReusePort) {
			return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, syscall.EADDRINUSE)
		}
	}
	s := &socket{local: addr, place: &place{name: "packets " + addr.String()}, reuse: o.ReusePort}
	s.packets = &packets{group: make(map[netip.Addr]bool)}
	if !n.assign(s) {
		return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, syscall.EMFILE)
	}
	n.note("listen fd=%d packets addr=%v", s.fd, addr)
	return s.fd, nil
}

// SetGroup implements driver.Sockets.
func (d *loopDriver) SetGroup(fd int, group netip.Addr, _ string, join bool) error {
	if !group.IsMulticast() {
		return syscall.EINVAL
	}
	d.packets("SetGroup", fd).packets.group[group] = join
	return nil
}

// SendPacket sends a datagram from an outside address to a socket that is bound to its destination,
// or to all members of its group. A benign network loses none: see Faults.Lose. It returns how many
// copies are on their way.
func (n *Network) SendPacket(p Packet) (copies int) {
	for _, s := range n.receivers(p) {
		times := 1
		if n.hit(s.place, n.cfg.Faults.Lose, &n.counts.Lose) {
			times = 0
		} else if n.hit(s.place, n.cfg.Faults.Double, &n.counts.Double) {
			times = 2
		}
		for range times {
			if len(s.packets.queue) >= packetQueue {
				break
			}
			copies++
			g := driver.Datagram{Data: bytes.Clone(p.Data), Peer: driver.Peer{AddrPort: p.From}}
			if s.local.Addr().IsUnspecified() && !p.To.Addr().IsMulticast() {
				g.Peer.Local = p.To.Addr()
			}
			s.packets.queue = append(s.packets.queue, g)
			if q := s.packets.queue; len(q) > 1 && n.hit(s.place, n.cfg.Faults.Disorder, &n.counts.Disorder) {
				i := n.rng.IntN(len(q) - 1)
				q[i], q[len(q)-1] = q[len(q)-1], q[i]
			}
		}
	}
	n.note("packet %v to %v, %d bytes: %d", p.From, p.To, len(p.Data), copies)
	return copies
}

// receivers returns the sockets that a datagram goes to. Of those that share an address, it is
// always the same one for a peer.
func (n *Network) receivers(p Packet) (all []*socket) {
	for _, s := range n.fds {
		if s == nil || s.packets == nil || s.local.Port() != p.To.Port() {
			continue
		}
		if p.To.Addr().IsMulticast() && s.packets.group[p.To.Addr()] || s.local == p.To ||
			s.local.Addr().IsUnspecified() && s.local.Addr().Is4() == p.To.Addr().Is4() {
			all = append(all, s)
		}
	}
	if len(all) > 1 && !p.To.Addr().IsMulticast() {
		peer := p.From.Addr().As16()
		i := (int(p.From.Port()) + int(peer[15])) % len(all)
		all = all[i : i+1]
	}
	return all
}

// Packets returns what the program under test has sent since the last call.
func (n *Network) Packets() []Packet {
	out := n.sent
	n.sent = nil
	return out
}

func (d *loopDriver) packets(call string, fd int) *socket {
	s := d.socket(call, fd)
	if s.packets == nil {
		d.n.misuse("%s(%d): not a datagram socket", call, fd)
	}
	return s
}

// Receive implements driver.Sockets.
func (d *loopDriver) Receive(fd int) ([]driver.Datagram, error) {
	n, s := d.n, d.packets("Receive", fd)
	for i := range d.received {
		for j := range d.received[i].Data {
			d.received[i].Data[j] = 0xdb // must not have been kept
		}
	}
	d.received = nil
	q := s.packets.queue
	if len(q) == 0 || n.hit(s.place, n.cfg.Faults.ReadAgain, &n.counts.ReadAgain) {
		return nil, syscall.EAGAIN
	}
	k := 1 + n.die(s.place, nil).rng.IntN(min(len(q), 64))
	d.received, s.packets.queue = q[:k:k], q[k:]
	n.note("driver %d: Receive fd=%d: %d", d.id, fd, k)
	return d.received, nil
}

// Send implements driver.Sockets.
func (d *loopDriver) Send(fd int, _ bool, batch []driver.Datagram) (int, error) {
	n, s := d.n, d.packets("Send", fd)
	for i, g := range batch {
		if n.hit(s.place, n.cfg.Faults.WriteAgain, &n.counts.WriteAgain) {
			return i, syscall.EAGAIN
		}
		if !g.Peer.IsValid() {
			return i, syscall.EAFNOSUPPORT
		}
		from := s.local
		if g.Peer.Local.IsValid() {
			from = netip.AddrPortFrom(g.Peer.Local, from.Port())
		}
		n.sent = append(n.sent, Packet{From: from, To: g.Peer.AddrPort, Data: bytes.Clone(g.Data)})
	}
	n.note("driver %d: Send fd=%d: %d", d.id, fd, len(batch))
	return len(batch), nil
}
