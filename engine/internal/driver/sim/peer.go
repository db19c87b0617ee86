package sim

import (
	"net/netip"
)

// Peer is a remote client. Its methods never wait and belong to the network's goroutine.
type Peer struct {
	n             *Network
	end           *end
	link          *link
	local, remote netip.AddrPort
	faulted       bool
}

// Local returns the client's address, which the server sees as remote.
func (p *Peer) Local() netip.AddrPort { return p.local }

// Remote returns the address that was dialled.
func (p *Peer) Remote() netip.AddrPort { return p.remote }

// Send writes as much of b as fits and returns how much that is. It does not keep b. 0 can also
// mean that nothing can be sent any more: see CanSend.
func (p *Peer) Send(b []byte) int {
	if !p.CanSend() {
		return 0
	}
	k, _ := p.n.write(p.end, b)
	p.n.note("peer %v: Send %d: %d", p.local, len(b), k)
	return k
}

// CanSend reports whether the client can send: not after CloseWrite, Close, a reset or
// Faults.HalfClose.
func (p *Peer) CanSend() bool { return !p.end.closed && !p.end.broken && !p.end.out.fin }

// Recv returns up to max bytes that have arrived. It does not wait: see EOF and Err.
func (p *Peer) Recv(max int) []byte {
	if p.end.closed || len(p.end.in.got) == 0 || max <= 0 {
		return nil
	}
	b := make([]byte, min(max, len(p.end.in.got)))
	k, _ := p.n.read(p.end, b)
	p.n.note("peer %v: Recv %d", p.local, k)
	return b[:k]
}

// Unread returns how many bytes have arrived at the server's kernel and were not read there.
func (p *Peer) Unread() int { return len(p.end.out.got) }

// Room returns the size of the client's receive buffer.
func (p *Peer) Room() int { return p.end.in.recvCap }

// EOF reports whether all bytes that the server sent were received, and then its FIN.
func (p *Peer) EOF() bool { return p.end.in.finGot && len(p.end.in.got) == 0 && !p.end.broken }

// Err returns how the connection broke: ECONNREFUSED, ECONNRESET, or EPIPE for a reset after the
// server's FIN. It is nil as long as the connection is not broken.
func (p *Peer) Err() error {
	if p.end.reason == 0 {
		return nil
	}
	return p.end.reason
}

// Faulted reports whether a fault, and not the server, reset, aborted or half-closed this
// connection.
func (p *Peer) Faulted() bool { return p.faulted }

// CloseWrite sends a FIN.
func (p *Peer) CloseWrite() {
	p.n.note("peer %v: CloseWrite", p.local)
	if !p.end.closed {
		_ = p.n.shutdown(p.end) // fails for a broken connection
	}
}

// Close is close(2): a FIN, or a RST if bytes were not received. What the server sends afterwards
// is answered with a RST.
func (p *Peer) Close() {
	p.n.note("peer %v: Close", p.local)
	p.n.close(p.end, false)
}

// Reset sends a RST.
func (p *Peer) Reset() {
	p.n.note("peer %v: Reset", p.local)
	p.n.close(p.end, true)
}
