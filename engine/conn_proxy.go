package engine

import (
	"bytes"
	"net"
	"net/netip"

	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/internal/proxyproto"
)

// ProxyHeader is a header of the PROXY protocol: what a proxy sends first on a connection, about
// the one that it passes on. See ListenConfig.Proxy and DialConfig.Proxy.
type ProxyHeader struct {
	// Version is 1 or 2. To send a header, 0 stands for 2.
	Version int
	// Local means that the proxy has connected for itself, to check the server's health (command
	// LOCAL of version 2).
	Local bool
	// Source is the client's address, and Destination the one that it has connected to. They are
	// zero AddrPorts if the header does not tell them: one that is Local, has no addresses that are
	// known (UNKNOWN or AF_UNSPEC), or is of a unix socket.
	Source, Destination netip.AddrPort
	// SourcePath and DestinationPath are the same for a unix socket. "@" begins the name of one in
	// Linux's abstract namespace. Only version 2 has them.
	SourcePath, DestinationPath string
	// TLVs are further values as they stand in a header of version 2: each is a type, two bytes of
	// length, and the value. See TLV and AddTLV.
	TLVs []byte
}

// TLV returns the value of the first TLV of a type. It is part of TLVs.
func (h *ProxyHeader) TLV(kind byte) (value []byte, ok bool) {
	return (*proxyproto.Header)(h).TLV(kind)
}

// AddTLV adds a TLV. For ProxyCRC32C value is four bytes of any content.
func (h *ProxyHeader) AddTLV(kind byte, value []byte) { (*proxyproto.Header)(h).AddTLV(kind, value) }

// Append appends the header to dst as it is sent. Without addresses it is UNKNOWN in version 1, and
// LOCAL or AF_UNSPEC in version 2. The error says why there is no such header; then dst is
// returned.
func (h *ProxyHeader) Append(dst []byte) ([]byte, error) { return (*proxyproto.Header)(h).Append(dst) }

// The types of TLVs in a ProxyHeader: section 2.2 of proxy-protocol.txt.
const (
	ProxyALPN      = proxyproto.TypeALPN
	ProxyAuthority = proxyproto.TypeAuthority // the host that the client asks for
	ProxyCRC32C    = proxyproto.TypeCRC32C    // checked when read, filled in when sent
	ProxyNoop      = proxyproto.TypeNoop
	ProxyUniqueID  = proxyproto.TypeUniqueID
	ProxySSL       = proxyproto.TypeSSL
	ProxyNetNS     = proxyproto.TypeNetNS
)

// headers are the headers of connections with the flag proxied, as they came. A header is read
// again when somebody asks for it: it takes 28 bytes, and what is in it 136.
type headers struct {
	open   paged.Array[[]byte] // by slot
	closed map[*Conn][]byte    // that were not disposed of; another one may have the slot
}

// of returns the header of c, which must be proxied.
func (h *headers) of(c *Conn) []byte {
	if c.state == closed {
		return h.closed[c]
	}
	return *h.open.At(c.slot)
}

// setProxied keeps the header of c, which is valid.
func (l *loop) setProxied(c *Conn, header []byte) {
	for l.headers.open.Len() <= c.slot {
		l.headers.open.Grow()
	}
	*l.headers.open.At(c.slot) = bytes.Clone(header)
	l.memory.held += len(header)
	c.flags |= proxied
}

// vacateProxied is called when c loses its slot. Closed can still ask for the addresses.
func (l *loop) vacateProxied(c *Conn) {
	if c.flags&proxied != 0 {
		h := l.headers.open.At(c.slot)
		if l.headers.closed == nil {
			l.headers.closed = make(map[*Conn][]byte)
		}
		l.headers.closed[c] = *h
		l.memory.held -= len(*h)
		*h = nil
	}
}

// forgetProxied is called when c is disposed of.
func (l *loop) forgetProxied(c *Conn) {
	if c.flags&proxied != 0 {
		delete(l.headers.closed, c)
		c.flags &^= proxied
	}
}

// proxyHeader returns the header of c, which must be proxied.
func (c *Conn) proxyHeader() ProxyHeader {
	return readHeader(c.loop.headers.of(c))
}

// readHeader reads a header that was read before, without an error.
func readHeader(b []byte) ProxyHeader {
	h, _, _ := proxyproto.Parse(b, proxyproto.MaxLen)
	return ProxyHeader(h)
}

// ProxyHeader returns the header that a trusted proxy has sent for the connection, nil if there is
// none: see ListenConfig.Proxy. It reads it anew. The TLVs must not be changed, and are valid until
// Closed returns.
func (c *Conn) ProxyHeader() *ProxyHeader {
	c.loop.checkTurn()
	if c.flags&proxied == 0 {
		return nil
	}
	h := c.proxyHeader()
	return &h
}

// ProxyAddr returns the address of the trusted proxy that has sent a header for the connection. It
// is the zero AddrPort without a header, and where RemoteAddr would be without a proxy.
func (c *Conn) ProxyAddr() netip.AddrPort {
	if c.fd < 0 || c.flags&proxied == 0 {
		return netip.AddrPort{}
	}
	c.loop.checkTurn()
	return c.loop.sockets.Remote(int(c.fd))
}

// ends are the addresses of a connection, as a header tells them.
type ends struct {
	remote, local netip.AddrPort
	isKnown       bool // else the kernel's are those of the connection
}

// endsOf returns what h tells. Those of a unix socket are zero AddrPorts, as they are without a
// proxy.
func endsOf(h *ProxyHeader) ends {
	return ends{
		remote: unmapped(h.Source), local: unmapped(h.Destination),
		isKnown: h.Source.IsValid() || h.SourcePath != "" || h.DestinationPath != "",
	}
}

// unmapped returns an IPv4-mapped address as the kernel does, as an IPv4 one.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// proxiedConn is a connection that was released from its loop, with the addresses of its header.
type proxiedConn struct {
	header        []byte
	remote, local net.Addr
}

type (
	proxiedTCP struct {
		*net.TCPConn
		proxiedConn
	}
	proxiedUnix struct {
		*net.UnixConn
		proxiedConn
	}
)

func (c *proxiedTCP) RemoteAddr() net.Addr  { return c.remote }
func (c *proxiedTCP) LocalAddr() net.Addr   { return c.local }
func (c *proxiedUnix) RemoteAddr() net.Addr { return c.remote }
func (c *proxiedUnix) LocalAddr() net.Addr  { return c.local }

// withHeader gives a released connection the addresses of its header.
func withHeader(nc net.Conn, header []byte) net.Conn {
	h := readHeader(header)
	p := proxiedConn{header: header, remote: nc.RemoteAddr(), local: nc.LocalAddr()}
	switch {
	case h.Source.IsValid():
		p.remote, p.local = tcpAddr(unmapped(h.Source)), tcpAddr(unmapped(h.Destination))
	case endsOf(&h).isKnown:
		p.remote = &net.UnixAddr{Net: "unix", Name: h.SourcePath}
		p.local = &net.UnixAddr{Net: "unix", Name: h.DestinationPath}
	}
	switch nc := nc.(type) {
	case *net.TCPConn:
		return &proxiedTCP{nc, p}
	case *net.UnixConn:
		return &proxiedUnix{nc, p}
	}
	return nc
}
