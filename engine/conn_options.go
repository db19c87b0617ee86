package engine

import (
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/quota"
)

// RemoteAddr is the peer's address, asked from the kernel by each call. It is the zero AddrPort for a unix socket, and for a
// connection that is over, by a reset or by the FINs of both sides: keep it, if you need it in Closed.
func (c *Conn) RemoteAddr() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	c.loop.checkTurn()
	return c.loop.sockets.Remote(int(c.fd))
}

// RemotePrefix is the peer's address as limits per address count it: an IPv4 address, or the /64 prefix of an IPv6 one, which is what
// one subscriber has. All peers of unix sockets are one.
func (c *Conn) RemotePrefix() netip.Prefix { return quota.Prefix(c.RemoteAddr().Addr()) }

// LocalAddr is our end's address, asked from the kernel by each call.
func (c *Conn) LocalAddr() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	c.loop.checkTurn()
	return c.loop.sockets.Local(int(c.fd))
}

// SetNoDelay sets TCP_NODELAY (tcp(7)). It is on unless switched off here: the loop gathers small writes itself.
func (c *Conn) SetNoDelay(on bool) error { return c.setOption(driver.NoDelay, flag(on)) }

// SetKeepAlive sets SO_KEEPALIVE, with probes after d without traffic, in whole seconds; 0 switches it off.
func (c *Conn) SetKeepAlive(d time.Duration) error {
	return c.setOption(driver.KeepAlive, seconds(d))
}

// SetReadBuffer sets SO_RCVBUF, in bytes, and so ends the kernel's own tuning of it.
func (c *Conn) SetReadBuffer(bytes int) error { return c.setOption(driver.ReceiveBuffer, bytes) }

// SetWriteBuffer sets SO_SNDBUF, in bytes.
func (c *Conn) SetWriteBuffer(bytes int) error { return c.setOption(driver.SendBuffer, bytes) }

// SetLinger sets SO_LINGER, in whole seconds; a negative d switches it off, which is the default: the engine flushes
// by itself, see Close and Config.Linger.
func (c *Conn) SetLinger(d time.Duration) error {
	if d < 0 {
		return c.setOption(driver.Linger, -1)
	}
	return c.setOption(driver.Linger, seconds(d))
}

// setOption never reaches a descriptor that is not this connection's any more.
func (c *Conn) setOption(o driver.Option, value int) error {
	if c.fd < 0 {
		return ErrClosed
	}
	c.loop.checkTurn()
	return c.loop.sockets.SetOption(int(c.fd), o, value)
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}
