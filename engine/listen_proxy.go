package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/proxyproto"
)

// ProxyConfig is how a Listener reads the header of the PROXY protocol, versions 1 and 2, with
// which a proxy tells whom it has accepted a connection from: HAProxy's proxy-protocol.txt. Then
// Conn.RemoteAddr and LocalAddr are those of the client's connection to the proxy. So limits per
// address, Inspect, and everything else that asks for the address see the client.
//
// A header is believed only if it comes from a proxy that is trusted. The proxy must be configured
// to send one. With a health check of the proxy (LOCAL) or without known addresses (UNKNOWN), the
// connection's own addresses stay.
//
// The accept function is called when the header is there. Before, a trusted peer that breaks a rule
// is reset, and one that is not trusted is closed at once. Both are counted as RefusedProxy. Each
// loop logs one of them in ten seconds, whatever the reasons. A peer that leaves before its header,
// as the check of a proxy does, is neither counted nor logged.
type ProxyConfig struct {
	// Trusted are the addresses of the proxies, for TCP. Everybody in them can pretend to be any
	// client, so name your proxies, and no network that others use too.
	Trusted []netip.Prefix
	// TrustUnix trusts every peer of a unix socket. ListenConfig.FileMode says who can be one.
	TrustUnix bool
	// ServeUntrusted serves the peers that are not trusted as clients that have come without a
	// proxy. A header that they send is data. Default: they are closed at once.
	ServeUntrusted bool
	// ServeHeaderless serves a connection of a trusted peer that begins with anything but a header,
	// as one of that peer. The specification forbids it (section 2), because then a proxy that
	// forgets to send headers lets its clients write them. Use it only while you switch headers on.
	// Default: such a connection is reset.
	ServeHeaderless bool
	// Timeout is how long the header may take to arrive. Default: 5 s, at least the 3 s that the
	// specification asks for.
	Timeout time.Duration
	// MaxHeader limits a header of version 2, in bytes. Default: 4096.
	MaxHeader int
	// MaxWaiting limits the connections that wait for their header. Each takes about as much memory
	// as an idle connection. Default: 4096.
	MaxWaiting int
}

// proxyLog is the least time between two messages about refused headers, per loop.
const proxyLog = 10 * time.Second

// proxyRefusal is why a connection is refused that has no fault of its own.
type proxyRefusal string

func (r proxyRefusal) Error() string { return "engine: " + string(r) }
func (proxyRefusal) Cause() Cause    { return CauseRefused }

const (
	errUntrusted proxyRefusal = "the peer is not in ProxyConfig.Trusted (proxy-protocol.txt section 2)"
	errWaiting   proxyRefusal = "more than ProxyConfig.MaxWaiting connections wait for their PROXY header"
	errClient    proxyRefusal = "the client behind the proxy has MaxPerAddress connections"
)

// proxying is what a Listener with a ProxyConfig has besides.
type proxying struct {
	ProxyConfig
	waiting atomic.Int32
}

// newProxying returns nil for no configuration.
func newProxying(lc *ListenConfig) *proxying {
	if lc.Proxy == nil {
		return nil
	}
	p := &proxying{ProxyConfig: *lc.Proxy}
	if p.Timeout <= 0 {
		p.Timeout = 5 * time.Second
	}
	if p.MaxHeader <= 0 {
		p.MaxHeader = 4096
	}
	if p.MaxWaiting <= 0 {
		p.MaxWaiting = 4096
	}
	return p
}

// check returns an error for fields that make no sense.
func (pc *ProxyConfig) check(unix bool) error {
	switch {
	case unix && !pc.TrustUnix:
		return errors.New("ProxyConfig trusts nobody: a unix socket needs TrustUnix")
	case !unix && len(pc.Trusted) == 0:
		return errors.New("ProxyConfig.Trusted is empty: nobody could send a PROXY header")
	}
	for _, p := range pc.Trusted {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("ProxyConfig.Trusted has %v: want the prefix of an IPv4 or an IPv6 address", p)
		}
	}
	return nil
}

// trusts reports whether the peer of fd may send a header.
func (p *proxying) trusts(l *loop, ln *Listener, fd int) bool {
	if ln.network == "unix" {
		return p.TrustUnix
	}
	a := l.sockets.Remote(fd).Addr().Unmap().WithZone("")
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// isGone reports whether the peer of fd was reset before it was accepted, as the check of a proxy
// may do. Then nobody knows whether it was trusted, and what it has sent can still be read.
func (a *acceptor) isGone(fd int) bool {
	return a.proxy != nil && a.network != "unix" && !a.loop.sockets.Remote(fd).IsValid()
}

// turnsAway reports whether fd is closed at once, because its peer is not trusted.
func (a *acceptor) turnsAway(fd int) bool {
	p := a.proxy
	if p == nil || p.ServeUntrusted || p.trusts(a.loop, a.Listener, fd) {
		return false
	}
	a.loop.logProxy(a.Listener, a.loop.sockets.Remote(fd), errUntrusted)
	return true
}

// logProxy logs why a connection is refused before it has a Protocol.
func (l *loop) logProxy(ln *Listener, peer netip.AddrPort, err error) {
	if unlogged, ok := l.accepting.proxyLog.allow(l.now, proxyLog); ok {
		l.config.Logger.Warn("engine: connection refused because of the PROXY protocol",
			"listener", ln.String(), "peer", peer, "error", err, "unlogged", unlogged)
	}
}

// awaiting is the Protocol of a connection that waits for its header.
type awaiting struct {
	conn     *Conn
	listener *Listener
	accept   func(*Conn) Protocol // what follows
	done     bool
}

// await makes c wait for its header, unless its peer is served without one. accept is called then.
func await(c *Conn, ln *Listener, accept func(*Conn) Protocol) Protocol {
	l, p := c.loop, ln.proxy
	if p.ServeUntrusted && !p.trusts(l, ln, int(c.fd)) {
		if !l.claim(c, ln) {
			return nil
		}
		return accept(c)
	}
	if int(p.waiting.Add(1)) > p.MaxWaiting {
		p.waiting.Add(-1)
		l.refuseProxy(c, ln, errWaiting)
		c.end(errWaiting)
		return nil
	}
	c.flags |= unannounced
	c.SetTimeout(p.Timeout)
	return &awaiting{conn: c, listener: ln, accept: accept}
}

// refuseProxy counts and logs that c is refused.
func (l *loop) refuseProxy(c *Conn, ln *Listener, err error) {
	l.stats.Refused[RefusedProxy]++
	l.logProxy(ln, l.sockets.Remote(int(c.fd)), err)
}

// claim counts c for its client, whose address is known now. It ends c if that has too many.
func (l *loop) claim(c *Conn, ln *Listener) bool {
	if ln.quota.MaxPerClient <= 0 {
		return true
	}
	client, err := ln.quota.Assign(c.RemotePrefix())
	if err != nil {
		l.stats.Refused[RefusedAddress]++
		c.end(errClient)
		return false
	}
	l.accepting.admitted.At(c.slot).client = client
	return true
}

// Feed implements Protocol.
func (w *awaiting) Feed(src []byte) (int, error) {
	c, p := w.conn, w.listener.proxy
	_, n, err := proxyproto.Parse(src, p.MaxHeader)
	switch {
	case err == proxyproto.ErrNone && p.ServeHeaderless:
	case err != nil: // the specification wants it reset, so that the proxy notices
		c.end(err)
		return 0, nil
	case n == 0:
		return 0, nil
	default:
		c.loop.setProxied(c, src[:n])
	}
	c.loop.callback.input = c.loop.callback.input[n:] // accept may release c and panic
	w.finish()
	return n, nil
}

// finish calls accept, as attach does. What follows is fed the rest, because SetProtocol was called
// during Feed. It is told to the Observer then: see offer.
func (w *awaiting) finish() {
	c := w.conn
	w.leave()
	c.SetTimeout(0)
	if !c.loop.claim(c, w.listener) {
		return
	}
	c.proto, c.abilities = nil, 0
	if p := w.accept(c); p != nil {
		c.SetProtocol(p)
	}
	if c.proto == nil {
		c.refuse()
	}
}

// leave ends the wait.
func (w *awaiting) leave() {
	w.done = true
	w.listener.proxy.waiting.Add(-1)
}

// Expired implements Expirer. Nobody waits for the peer's FIN.
func (w *awaiting) Expired() {
	w.conn.end(fmt.Errorf("%w: no PROXY header within %v (proxy-protocol.txt section 2)", ErrTimeout,
		w.listener.proxy.Timeout))
}

// Closed implements Protocol. A peer that leaves, as one does that only checks whether somebody
// listens, is not refused.
func (w *awaiting) Closed(reason error) {
	if w.done {
		return
	}
	w.leave()
	var bad *proxyproto.Error
	switch {
	case errors.As(reason, &bad), errors.Is(reason, proxyproto.ErrNone):
	case errors.Is(reason, ErrTimeout):
	default:
		return
	}
	w.conn.loop.refuseProxy(w.conn, w.listener, reason)
}
