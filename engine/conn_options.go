package engine

import (
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/quota"
)

// RemoteAddr returns the peer's address. Each call asks the kernel. It is the zero AddrPort for a
// unix socket, and for a connection that was reset or whose both halves are closed: if you need it
// in Closed, keep it. Behind a trusted proxy (ListenConfig.Proxy) it is the client's, as the PROXY
// header tells it.
func (c *Conn) RemoteAddr() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	c.loop.checkTurn()
	if c.flags&proxied != 0 {
		if h := c.proxyHeader(); endsOf(&h).isKnown {
			return endsOf(&h).remote
		}
	}
	return c.loop.sockets.Remote(int(c.fd))
}

// RemotePrefix returns the peer's address in the form that limits per client count by: the IPv4
// address, or the /64 prefix of an IPv6 address, which is what one subscriber has. All peers of
// unix sockets have the same, zero Prefix. It is the client of package quota.
func (c *Conn) RemotePrefix() netip.Prefix { return quota.Prefix(c.RemoteAddr().Addr()) }

// LocalAddr returns the address of our end. Each call asks the kernel. Behind a trusted proxy
// (ListenConfig.Proxy) it is the one that the client has connected to.
func (c *Conn) LocalAddr() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	c.loop.checkTurn()
	if c.flags&proxied != 0 {
		if h := c.proxyHeader(); endsOf(&h).isKnown {
			return endsOf(&h).local
		}
	}
	return c.loop.sockets.Local(int(c.fd))
}

// SetNoDelay sets TCP_NODELAY of tcp(7). It is on by default: the loop gathers small writes itself.
// Like the options below, it returns ErrClosed after the connection has closed, and else the error
// of setsockopt(2).
func (c *Conn) SetNoDelay(on bool) error { return c.setOption(driver.NoDelay, flag(on)) }

// SetKeepAlive sets SO_KEEPALIVE: the kernel probes the peer after d without traffic, rounded up to
// seconds, and then every 15 seconds, or every d if that is less. It resets the connection when
// nine probes were not answered. 0 switches it off, which is the default.
func (c *Conn) SetKeepAlive(d time.Duration) error {
	return c.setOption(driver.KeepAlive, seconds(d))
}

// SetReadBuffer sets SO_RCVBUF, in bytes. The kernel then no longer tunes it.
func (c *Conn) SetReadBuffer(bytes int) error { return c.setOption(driver.ReceiveBuffer, bytes) }

// SetWriteBuffer sets SO_SNDBUF, in bytes. The kernel then no longer tunes it.
func (c *Conn) SetWriteBuffer(bytes int) error { return c.setOption(driver.SendBuffer, bytes) }

// SetWriteAhead limits the bytes that the kernel takes before it can send them: TCP_NOTSENT_LOWAT
// of tcp(7), on Linux and macOS. What it has sent and the peer has not acknowledged does not count,
// so unlike a small SO_SNDBUF it costs a fast peer far away nothing. What is too much waits in the
// process, where Outbound counts it and Pressure tells of it. A write may pass the limit by what it
// writes at once. Default: the kernel takes all that fits into its buffer, often megabytes.
func (c *Conn) SetWriteAhead(bytes int) error { return c.setOption(driver.WriteAhead, bytes) }

// SetLinger sets SO_LINGER, rounded up to seconds. A negative d switches it off, which is the
// default: the engine flushes connections itself, see Close and Config.Linger.
func (c *Conn) SetLinger(d time.Duration) error {
	if d < 0 {
		return c.setOption(driver.Linger, -1)
	}
	return c.setOption(driver.Linger, seconds(d))
}

// setOption never touches a descriptor that is no longer this connection's.
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
