package sim

import (
	"net/netip"
	"syscall"
	"time"
)

// pipe is one direction of a connection.
//
//	write → [ sent: send buffer and wire ] → flow → [ got: receive buffer ] → read
type pipe struct {
	place
	to               *end // the reader
	sent, got        []byte
	sendCap, recvCap int
	fin              bool          // the writer sends no more
	finGot           bool          // the reader's kernel knows: no bytes come after got
	shut             bool          // got was full, and is not a sixteenth free yet
	hold             time.Duration // nothing flows before that
	wrote, read      int           // totals; Check compares them with what is on the way
	lost             int           // dropped by a reset
}

// end is one side of a connection: the server's, or that of a Peer.
type end struct {
	in, out *pipe
	other   *end
	copies  int           // descriptors beside the first one: see Duplicate
	peer    bool          // the remote client's side
	closed  bool          // no reads or writes here any more
	broken  bool          // a RST was sent or received
	err     syscall.Errno // SO_ERROR: reported once, by the next call
	reason  syscall.Errno // like err, but it stays
	abrupt  bool          // SO_LINGER with 0 seconds: close sends a RST
}

// link is an established connection.
type link struct {
	place
	server, client end
	up, down       pipe // client to server, server to client
	from           *Peer
}

// connect makes a connection. Its name is that of the side that dials, because no other one has
// that port.
func (n *Network) connect(p *Peer, dialer netip.AddrPort) *link {
	k := &link{from: p, place: place{name: dialer.String()}}
	k.server = end{in: &k.up, out: &k.down, other: &k.client}
	k.client = end{in: &k.down, out: &k.up, other: &k.server, peer: true}
	k.up = pipe{to: &k.server, place: place{name: k.name + " to server"}}
	k.down = pipe{to: &k.client, place: place{name: k.name + " to client"}}
	for _, p := range [...]*pipe{&k.up, &k.down} {
		p.sendCap, p.recvCap = n.bufferSize(&p.place), n.bufferSize(&p.place)
	}
	p.end, p.link = &k.client, k
	n.links = append(n.links, k)
	return k
}

// readable and writable are level-triggered readiness as Linux computes it.
func (e *end) readable() bool {
	return len(e.in.got) > 0 || e.in.finGot || e.broken || e.err != 0
}

// writable asks for a third of the buffer to be free, so that a writer is not woken for every byte.
func (e *end) writable() bool {
	free := e.out.sendCap - len(e.out.sent)
	return e.broken || e.err != 0 || e.out.fin || free*3 >= e.out.sendCap
}

func (e *end) takeErr() (err syscall.Errno) {
	err, e.err = e.err, 0
	return err
}

// read is recv(2): first what arrived before a RST, then the error once, then 0.
func (n *Network) read(e *end, b []byte) (int, error) {
	p := e.in
	switch {
	case len(p.got) > 0:
		k := copy(b, p.got)
		p.got = p.got[k:]
		p.read += k
		n.flow(p)
		return k, nil
	case e.err != 0:
		return 0, e.takeErr()
	case p.finGot || e.broken:
		return 0, nil
	}
	return 0, syscall.EAGAIN
}

// write is send(2).
func (n *Network) write(e *end, b []byte) (int, error) {
	p := e.out
	switch {
	case e.err != 0:
		return 0, e.takeErr()
	case e.broken || p.fin:
		return 0, syscall.EPIPE
	case len(p.sent) >= p.sendCap:
		return 0, syscall.EAGAIN
	}
	k := min(len(b), p.sendCap-len(p.sent))
	p.sent = append(p.sent, b[:k]...)
	p.wrote += k
	n.delay(p)
	n.flow(p)
	return k, nil
}

// shutdown is shutdown(2) with SHUT_WR.
func (n *Network) shutdown(e *end) error {
	if e.broken {
		return syscall.ENOTCONN
	}
	if !e.out.fin {
		e.out.fin = true
		n.delay(e.out)
		n.flow(e.out)
	}
	return nil
}

// close is close(2). With unread bytes Linux sends a RST instead of a FIN, and that destroys what
// the other side has not read yet. So do bytes that arrive later: see flow.
func (n *Network) close(e *end, reset bool) {
	if e.closed {
		return
	}
	e.closed = true
	if e.broken {
		return
	}
	if reset || e.abrupt || len(e.in.got) > 0 {
		n.reset(e)
		return
	}
	n.shutdown(e)
	n.flow(e.in)
}

// flow moves what may move from the send buffer to the receive buffer. A receiver whose buffer was
// full opens its window again when a sixteenth is free, as kernels avoid silly windows (RFC 9293
// section 3.8.6.2.2): a slow reader lets bytes through in lumps.
func (n *Network) flow(p *pipe) {
	if p.to.broken || n.now < p.hold {
		return
	}
	if p.to.closed && len(p.sent) > 0 {
		n.reset(p.to)
		return
	}
	free := p.recvCap - len(p.got)
	if p.shut && 16*free < p.recvCap {
		return
	}
	k := min(len(p.sent), free)
	p.got = append(p.got, p.sent[:k]...)
	p.sent = p.sent[k:]
	p.shut = k > 0 && k == free
	if p.fin && len(p.sent) == 0 {
		p.finGot = true
	}
}

// waiting reports whether p would flow if it were not held back.
func (p *pipe) waiting() bool {
	switch {
	case p.to.broken:
		return false
	case len(p.sent) > 0:
		free := p.recvCap - len(p.got)
		return p.to.closed || free > 0 && (!p.shut || 16*free >= p.recvCap)
	}
	return p.fin && !p.finGot
}

// reset sends a RST from e. Bytes on the wire are lost. What is in the receiver's buffer is lost as
// well at the client, which is the worst that TCP allows (BSD drops it, Linux does not), and at the
// server if a coin says so.
func (n *Network) reset(e *end) {
	o := e.other
	e.broken = true
	e.in.dropSent()
	e.in.dropGot()
	e.out.dropSent()
	if o.broken {
		return
	}
	if o.peer || n.coin(&e.out.place) {
		e.out.dropGot()
	}
	o.broken = true
	o.err = syscall.ECONNRESET
	if o.in.finGot {
		o.err = syscall.EPIPE // Linux: RST in CLOSE_WAIT
	}
	o.reason = o.err
}

func (p *pipe) dropSent() { p.lost += len(p.sent); p.sent = nil }
func (p *pipe) dropGot()  { p.lost += len(p.got); p.got = nil }
