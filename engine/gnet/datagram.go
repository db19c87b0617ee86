package gnet

import (
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/myriadnet/myriad/engine"
)

// datagram is the Conn of a datagram: on a server of one, and on a client of all that one peer
// sends.
type datagram struct {
	input
	descriptor
	p             *engine.PacketConn
	to            engine.PacketAddr
	ctx           any
	local, remote net.Addr
	client        bool
	ended         bool // of a client: OnClose was called
}

// packets is the engine.PacketProtocol of a datagram socket.
type packets struct {
	r      *runner
	p      *engine.PacketConn
	local  net.Addr
	client *datagram // nil: a server's socket
}

func (s *packets) newDatagram(to engine.PacketAddr) *datagram {
	return &datagram{
		descriptor: descriptor{r: s.r, raw: s.p, loop: s.p.Loop()},
		p:          s.p,
		to:         to,
		local:      s.local,
		remote:     net.UDPAddrFromAddrPort(to.AddrPort),
	}
}

// Datagram calls OnTraffic. A client takes datagrams from its peer only.
func (s *packets) Datagram(from engine.PacketAddr, b []byte) {
	c := s.client
	if c == nil {
		c = s.newDatagram(from)
	} else if c.to.AddrPort != from.AddrPort || c.ended {
		return
	}
	c.do(c.traffic(b))
}

// traffic calls OnTraffic with a datagram. If that panics, the input is forgotten all the same: it
// is memory that all sockets share.
func (c *datagram) traffic(b []byte) Action {
	defer func() { c.in = nil }()
	c.in = b
	return c.r.handler.OnTraffic(c)
}

// Closed tells the handler of a client's socket.
func (s *packets) Closed(err error) {
	if s.client != nil {
		if err == engine.ErrShutdown {
			err = nil
		}
		s.client.in = nil
		s.client.end(err)
	}
}

// do does what a callback has returned. A server's socket is not closed by Close.
func (c *datagram) do(action Action) {
	switch action {
	case Close:
		c.end(nil)
	case Shutdown:
		c.r.stop()
	}
}

func (c *datagram) end(err error) {
	if !c.client || c.ended {
		return
	}
	c.ended = true
	c.r.connections.Add(-1)
	defer c.p.Close() // also if OnClose panics
	action := c.r.handler.OnClose(c, err)
	if action == Shutdown {
		c.r.stop()
	}
}

// Write sends a datagram to the peer.
func (c *datagram) Write(b []byte) (int, error) { return c.send(b, c.to) }

// SendTo sends a datagram to addr, a *net.UDPAddr.
func (c *datagram) SendTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, errors.ErrInvalidNetworkAddress
	}
	return c.send(b, engine.PacketAddr{AddrPort: unmapped(to.AddrPort())})
}

func (c *datagram) send(b []byte, to engine.PacketAddr) (int, error) {
	if err := c.p.WriteTo(b, to); err != nil {
		return 0, closedError(err)
	}
	return len(b), nil
}

// unmapped returns a with an IPv4 address instead of one that is mapped into IPv6.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// AsyncWrite sends a datagram to the peer. Any goroutine may call it. It copies b. As in gnet,
// callback gets no Conn.
func (c *datagram) AsyncWrite(b []byte, callback AsyncCallback) error {
	err := closedError(c.p.Listener().SendTo(b, c.to))
	if callback != nil {
		callback(nil, nil)
	}
	return err
}

// Writev returns ErrUnsupportedOp.
func (c *datagram) Writev([][]byte) (int, error) { return 0, errors.ErrUnsupportedOp }

// AsyncWritev returns ErrUnsupportedOp.
func (c *datagram) AsyncWritev([][]byte, AsyncCallback) error { return errors.ErrUnsupportedOp }

// ReadFrom sends what r has until io.EOF, as one datagram.
func (c *datagram) ReadFrom(r io.Reader) (int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, engine.MaxDatagram+1))
	if err != nil {
		return 0, err
	}
	n, err := c.Write(b)
	return int64(n), err
}

// Flush does nothing: datagrams go out when the callback returns.
func (c *datagram) Flush() error { return nil }

// OutboundBuffered returns 0.
func (c *datagram) OutboundBuffered() int { return 0 }

// Wake calls OnTraffic of a client's socket, and then callback.
func (c *datagram) Wake(callback AsyncCallback) error {
	return c.post(callback, func() {
		if c.client && !c.ended {
			c.do(c.r.handler.OnTraffic(c))
		}
	})
}

// Close closes a client's socket, and does nothing to a server's.
func (c *datagram) Close() error { return c.CloseWithCallback(nil) }

// CloseWithCallback is Close, and calls callback after OnClose.
func (c *datagram) CloseWithCallback(callback AsyncCallback) error {
	return c.post(callback, func() { c.end(nil) })
}

func (c *datagram) post(callback AsyncCallback, f func()) error {
	return closedError(c.r.engine.Post(c.loop, func() {
		if callback != nil {
			defer callback(c, nil) // also if f panics
		}
		f()
	}))
}

// Context returns what SetContext has set.
func (c *datagram) Context() any { return c.ctx }

// SetContext sets what Context returns. On a server it is gone with the datagram.
func (c *datagram) SetContext(ctx any) { c.ctx = ctx }

// EventLoop returns the socket's loop.
func (c *datagram) EventLoop() EventLoop { return eventLoop{c.r, c.loop} }

// LocalAddr returns the address of the socket.
func (c *datagram) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer.
func (c *datagram) RemoteAddr() net.Addr { return c.remote }

// SetDeadline returns ErrUnsupportedOp.
func (c *datagram) SetDeadline(time.Time) error { return errors.ErrUnsupportedOp }

// SetReadDeadline returns ErrUnsupportedOp.
func (c *datagram) SetReadDeadline(time.Time) error { return errors.ErrUnsupportedOp }

// SetWriteDeadline returns ErrUnsupportedOp.
func (c *datagram) SetWriteDeadline(time.Time) error { return errors.ErrUnsupportedOp }
