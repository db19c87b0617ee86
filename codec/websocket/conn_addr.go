package websocket

import (
	"net/http"
	"net/netip"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Proxies are HTTP proxies that are trusted to tell whose request they pass on.
type Proxies = handshake.Proxies

// ClientAddr returns the address of the client that a request of net/http comes from:
// r.RemoteAddr, unless that is one of the proxies. See Proxies.ClientAddr. It works for requests to
// Server.Handler, for Handshake.Request, and for those of any other server.
func ClientAddr(r *http.Request, proxies *Proxies) netip.AddrPort {
	return nethttp.ClientAddr(r, proxies)
}

// identify finds out who has sent the first request on a connection of a trusted proxy, and counts
// the handshake for that client.
func (c *Conn) identify(r *handshake.Request) error {
	s := c.service.server
	c.flags &^= forwarded
	client := r.ClientAddr(c.RemoteAddr(), s.Proxies)
	c.remote = remoteOf(client)
	count, err := s.handshakes.Assign(quota.Prefix(client.Addr()))
	if err != nil {
		return errBusy
	}
	if count != nil {
		c.makeRare().handshake = count
	}
	return nil
}

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

// RemoteAddr returns the client's address: the peer's, or what a trusted proxy tells, by the PROXY
// protocol (engine.ListenConfig.Proxy) or in the request (Server.Proxies). The latter is known from
// the callback Handshake on, and has port 0 if the proxy tells none. The address stays valid in
// Close. An IPv6 address has no zone. The peer of a unix socket has the zero AddrPort;
// engine.Listener.String has the path of the socket.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote.addrPort() }
