package websocket

import (
	"net/netip"
)

// remote is a peer's address in 18 bytes, where a netip.AddrPort takes 32. The zero value stands
// for the zero AddrPort, which the peer of a unix socket has.
type remote struct {
	ip   [16]byte
	port uint16
}

func remoteOf(a netip.AddrPort) (r remote) {
	if a.IsValid() {
		r = remote{a.Addr().As16(), a.Port()}
	}
	return r
}

func (r remote) addrPort() netip.AddrPort {
	if r == (remote{}) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(r.ip).Unmap(), r.port)
}

// RemoteAddr returns the peer's address. It is known from the beginning, and stays valid in Close.
// An IPv6 address has no zone. The peer of a unix socket has the zero AddrPort;
// engine.Listener.String has the path of the socket.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote.addrPort() }
