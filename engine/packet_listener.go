package engine

import (
	"net/netip"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/quota"
)

// PacketListener is an open datagram socket, or one per loop. Its methods may be called from any
// goroutine.
type PacketListener struct {
	engine *Engine
	addr   netip.AddrPort
	path   string
	file   driver.File // that we have made, and remove
	conns  []*PacketConn
}

// Addr returns the address that the sockets are bound to, with the port that the kernel chose. It
// is the zero AddrPort for unixgram.
func (pl *PacketListener) Addr() netip.AddrPort { return pl.addr }

// String returns the address, or the path of a unix socket.
func (pl *PacketListener) String() string {
	if pl.path != "" {
		return pl.path
	}
	return pl.addr.String()
}

// SendTo sends a datagram. It copies b before it returns. A nil error means that the datagram was
// queued for the loop, which calls WriteTo. The other errors are ErrClosed, if the engine has
// ended, and ErrBusy (Config.MaxPosted). With PacketConfig.PerLoop the sockets share the peers,
// each of which is always sent to by the same one.
func (pl *PacketListener) SendTo(b []byte, to PacketAddr) error {
	p := pl.conns[0]
	if n := uint64(len(pl.conns)); n > 1 {
		p = pl.conns[(hashPrefix(quota.Prefix(to.Addr()))+uint64(to.Port()))%n]
	}
	n := newTaskFor(packetTask, len(b))
	n.Value.packets, n.Value.peer = p, to
	return p.loop.pushBytes(n, b)
}

// Post calls f for each socket that is not closed by then, on its loop. The error is ErrClosed if
// the engine has ended, or one of its loops.
func (pl *PacketListener) Post(f func(*PacketConn)) error {
	if err := checkFunc("post", "f", f == nil); err != nil {
		return err
	}
	var ended error
	for _, p := range pl.conns {
		err := p.loop.do(func() {
			if !p.closed {
				f(p)
			}
		})
		if err != nil {
			ended = err // the others go on
		}
	}
	return ended
}

// Close closes the sockets: see PacketConn.Close.
func (pl *PacketListener) Close() error { return pl.Post((*PacketConn).Close) }
