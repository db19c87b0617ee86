package sim

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// Remote sets f, which decides about the connections that the program under test dials. If f
// returns false, the connection is refused. Otherwise the Peer is the remote end, connected from
// now on, even if the program does not know yet. Without f all are refused.
func (n *Network) Remote(f func(p *Peer) bool) { n.remote = f }

// Connect implements driver.Backend. The outcome is known after up to Faults.MaxDelay.
func (n *Network) Connect(network, address string, local netip.AddrPort) (int, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, fmt.Errorf("sim: connect %s %q: %w", network, address, err)
	}
	if !local.IsValid() {
		local = netip.AddrPortFrom(peer4, 0)
	}
	if local.Port() == 0 {
		local = netip.AddrPortFrom(local.Addr(), n.nextPort())
	}
	p := &Peer{n: n, local: addr, remote: local}
	s := &socket{local: local, remote: addr, end: &end{}, connecting: true, due: n.now}
	if !n.assign(s) {
		return -1, fmt.Errorf("sim: connect %s %q: %w", network, address, syscall.EMFILE)
	}
	k := n.connect(p, local)
	s.end, s.place = &k.server, &k.place
	if n.hit(s.place, n.cfg.Faults.Delay, &n.counts.Delay) {
		s.due += n.upTo(n.cfg.Faults.MaxDelay, 50*time.Millisecond)
	}
	switch {
	case n.hit(s.place, n.cfg.Faults.BlackHole, &n.counts.BlackHole):
		n.close(p.end, true)
		s.due = forever
	case n.hit(s.place, n.cfg.Faults.SelfConnect, &n.counts.SelfConnect):
		n.close(p.end, true)
		s.local, s.self = addr, true
	case n.remote == nil || !n.remote(p):
		n.close(p.end, true)
		s.refused = true
	}
	n.note("connect fd=%d to %v, refused: %v", s.fd, addr, s.refused)
	return s.fd, nil
}

// Connected implements driver.Sockets.
func (d *loopDriver) Connected(fd int) (bool, error) {
	switch s := d.conn("Connected", fd); {
	case s.connecting && s.due > d.n.now:
		return false, nil
	case s.refused:
		return false, syscall.ECONNREFUSED
	default:
		s.connecting = false
		return true, nil
	}
}

// nextConnect returns when the next outcome of a Connect is known, or forever.
func (n *Network) nextConnect() time.Duration {
	at := time.Duration(forever)
	for _, s := range n.fds {
		if s != nil && s.connecting && s.due > n.now {
			at = min(at, s.due)
		}
	}
	return at
}

// Pair makes a connection that no loop has, as one that is adopted. fd is our end of it, p the
// other one. Without a descriptor fd is -1.
func (n *Network) Pair() (fd int, p *Peer) {
	local := netip.AddrPortFrom(peer4, n.nextPort())
	p = &Peer{n: n, local: netip.AddrPortFrom(peer4, n.nextPort()), remote: local}
	s := &socket{local: local, remote: p.local, end: &end{}}
	if !n.assign(s) {
		return -1, nil
	}
	k := n.connect(p, local)
	s.end, s.place = &k.server, &k.place
	return s.fd, p
}
