package engine

import (
	"net/netip"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/quota"
)

// Listener accepts connections. Its methods may be called from any goroutine.
//
// One loop accepts, and gives each connection to the loop with the fewest. That costs one posted
// task per connection, and keeps long-lived connections balanced; docs/decisions/0001-accept.md has
// the figures. With ListenConfig.PerLoop each loop accepts for itself.
type Listener struct {
	network   string
	asked     string // what Listen was called with: network and address
	addr      netip.AddrPort
	path      string
	options   bool // the options must be set for each connection
	config    ListenConfig
	accept    func(*Conn) Protocol
	quota     quota.Limiter
	proxy     *proxying   // nil: without ListenConfig.Proxy
	place     *Place      // of the one connection, if it is adopted
	header    []byte      // of the one connection, if it is adopted and proxied
	unsent    []byte      // of the one connection, if it has moved
	half      flags       // of the one connection, if it has moved: writeClosed and finSent
	shared    atomic.Bool // somebody else may have the same socket
	closed    atomic.Bool // Close was called
	bound     bool        // some of its sockets do not listen yet: see inheritGroup
	file      driver.File // that we have made, and remove
	acceptors []*acceptor // empty, if its one connection is adopted
}

func newListener(network string, lc ListenConfig, accept func(*Conn) Protocol) *Listener {
	ln := &Listener{network: network, config: lc, accept: accept}
	ln.quota.Max, ln.quota.MaxPerClient = lc.MaxConnections, lc.MaxPerAddress
	ln.proxy = newProxying(&lc)
	inherits := inheritsOptions && network != "unix"
	ln.options = !inherits && (lc.KeepAlive > 0 || lc.ReadBuffer > 0 || lc.WriteBuffer > 0)
	return ln
}

// Addr returns the address that the listener is bound to, with the port that the kernel chose. It
// is the zero AddrPort for a unix socket.
func (ln *Listener) Addr() netip.AddrPort { return ln.addr }

// String returns the address, or the path of a unix socket.
func (ln *Listener) String() string {
	if ln.network == "unix" {
		return ln.path
	}
	return ln.addr.String()
}

// Close stops listening. When it returns, the socket is closed and the address is free; no other
// connection is accepted. Accepted connections stay open. A second Close returns ErrClosed.
func (ln *Listener) Close() error {
	err := ErrClosed
	if !ln.closed.Swap(true) {
		for _, a := range ln.acceptors {
			if a.release() {
				err = nil
			}
			a.loop.do(func() { a.loop.closeAcceptor(a) }) // the error: it has ended
		}
	}
	return err
}
