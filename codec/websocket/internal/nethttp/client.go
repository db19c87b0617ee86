package nethttp

import (
	"net/http"
	"net/netip"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// ClientAddr returns the address of the client that r comes from.
func ClientAddr(r *http.Request, proxies *handshake.Proxies) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // a unix socket, or middleware has written an address without a port
		a, _ := netip.ParseAddr(r.RemoteAddr)
		peer = netip.AddrPortFrom(a, 0)
	}
	if !peer.Addr().IsValid() {
		peer = netip.AddrPort{}
	}
	return proxies.ClientAddr(peer, r.Header.Values)
}
