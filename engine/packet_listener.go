package engine

import "net/netip"

// PacketListener is an open datagram socket, or one per loop. Its methods may be called from any goroutine.
type PacketListener struct {
	engine *Engine
	addr   netip.AddrPort
	path   string
	conns  []*PacketConn
}

// Addr is the address that the sockets are bound to, with the port that the kernel chose; the zero AddrPort for unixgram.
func (pl *PacketListener) Addr() netip.AddrPort { return pl.addr }

// String is the address as text, a path for a unix socket.
func (pl *PacketListener) String() string {
	if pl.path != "" {
		return pl.path
	}
	return pl.addr.String()
}

// SendTo has a datagram sent; b is copied before SendTo returns. nil says that the loop will WriteTo it. The other errors
// are ErrClosed, if the engine has ended, and ErrBusy.
func (pl *PacketListener) SendTo(b []byte, to PacketAddr) error {
	p := pl.conns[0]
	n := newTask(packetTask)
	n.Value.packets, n.Value.peer = p, to
	return p.loop.pushBytes(n, b)
}

// Post has f called for each socket, on its loop, unless it is closed by then.
func (pl *PacketListener) Post(f func(*PacketConn)) error {
	for _, p := range pl.conns {
		err := p.loop.do(func() {
			if !p.closed {
				f(p)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close closes the sockets, see PacketConn.Close.
func (pl *PacketListener) Close() error { return pl.Post((*PacketConn).Close) }
