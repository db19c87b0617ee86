package engine

import (
	"context"
	"net"
	"net/netip"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// securing is the Protocol of a connection whose layer's handshake is in progress. It does what any
// Protocol could do; only at the end it puts the layer below the one that follows.
type securing struct {
	conn      *Conn
	handshake layer.Handshake
	accept    func(*Conn) Protocol // what follows
	failed    func(error)          // is called if nothing follows; nil: nobody wants to know
	done      bool
}

// secure begins a handshake of c.
func secure(c *Conn, ly layer.Layer, accept func(*Conn) Protocol, failed func(error)) Protocol {
	s := &securing{conn: c, accept: accept, failed: failed}
	h := c.Handle()
	s.handshake = ly.Begin(tcpAddr(c.LocalAddr()), tcpAddr(c.RemoteAddr()), func() {
		h.Post(func(*Conn) { s.step() }) // an error means that it is closed
	})
	c.SetTimeout(ly.Timeout())
	if _, err := s.handshake.Done(); err != nil { // it was refused
		c.CloseWith(err)
	}
	c.flags |= unannounced
	c.loop.layers.handshaking++ // until finish or countHandshake
	return s
}

// secureDialed is secure for a connection of d. The end of d's given context ends the handshake.
func secureDialed(c *Conn, d *dialing, accept func(*Conn) Protocol) Protocol {
	h := c.Handle()
	unwatch := context.AfterFunc(d.given, func() {
		h.Post(func(c *Conn) { // an error means that it is closed
			if _, ok := c.proto.(*securing); ok {
				c.Abort()
			}
		})
	})
	connected := func(c *Conn) Protocol {
		unwatch()
		return accept(c)
	}
	return secure(c, d.config.Layer, connected, func(err error) {
		if !unwatch() {
			err = context.Cause(d.given)
		}
		d.failed(err)
	})
}

// Feed implements Protocol. What the handshake does not take belongs behind it, most likely.
func (s *securing) Feed(src []byte) (int, error) {
	n, err := s.handshake.Feed(src)
	s.write()
	if n < len(src) && err == nil {
		s.conn.PauseRead()
	}
	return n, err
}

// write sends what the handshake has to say.
func (s *securing) write() {
	if b := s.handshake.Output(s.conn.AvailableBuffer()); len(b) > 0 {
		s.conn.Write(b) // an error means that it is closing
	}
}

// step is called when the handshake has something to say, and when it is done.
func (s *securing) step() {
	if s.done || s.conn.state != open {
		return
	}
	s.write()
	s.conn.ResumeRead()
	done, err := s.handshake.Done()
	switch {
	case err != nil:
		if _, ok := err.(*PanicError); ok { // the layer has logged it
			s.conn.loop.stats.Panics++
		}
		s.conn.CloseWith(err)
	case done:
		s.done = true
		s.finish()
	}
}

// finish puts the layer in place, offers again what was read behind the handshake, and calls accept
// as attach does.
func (s *securing) finish() {
	c := s.conn
	l := c.loop
	l.layers.handshaking--
	l.stats.Handshakes++
	stream, rest := s.handshake.Stream(&l.layers.shared)
	if len(rest) > 0 {
		in := l.memory.pool.Get(len(rest) + c.inbound())
		in.Append(rest)
		if c.in != nil {
			in.Append(c.in.Bytes())
		}
		c.dropInput()
		c.in = in
	}
	l.setLayer(c, stream)
	c.SetTimeout(0)
	c.proto, c.abilities = nil, 0
	if p := s.accept(c); p != nil {
		c.SetProtocol(p)
	}
	if c.proto == nil {
		c.refuse()
		return
	}
	if c.flags&readClosed != 0 { // the peer has sent all it wanted to
		c.flags = c.flags&^readClosed | finHeld
		c.touch()
	}
	l.exit() // of the call that the handshake has asked for
	l.announce(c)
}

// countHandshake counts the end of c, because of cause, if its handshake is not done.
func (l *loop) countHandshake(c *Conn, cause Cause) {
	if s, ok := c.proto.(*securing); ok && !s.done {
		l.layers.handshaking--
		l.stats.HandshakesFailed[cause]++
	}
}

// inbound returns the number of bytes that wait for the Protocol.
func (c *Conn) inbound() int {
	if c.in == nil {
		return 0
	}
	return c.in.Len()
}

// ReadClosed implements ReadCloser.
func (s *securing) ReadClosed() {
	done, err := s.handshake.Done()
	if left := s.handshake.ReadClosed(); left || done && err != nil {
		s.conn.CloseWith(ErrPeerClosed)
	}
}

// Closed implements Protocol.
func (s *securing) Closed(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	s.handshake.Cancel(reason)
	if s.failed != nil && !s.done {
		s.failed(reason)
	}
}

// tcpAddr returns a as a net.Addr. The zero AddrPort is that of a unix socket.
func tcpAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a)
}
