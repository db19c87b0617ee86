package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// DialConfig is how Dial connects. The zero value is ready to use.
type DialConfig struct {
	// Timeout limits the whole of Dial: the look-up of a name, and the attempts at all of its
	// addresses. Default: 10 s.
	Timeout time.Duration
	// LocalAddr is the address to bind to, for TCP. Port 0 lets the kernel choose. On Linux it
	// chooses when the remote address is known (IP_BIND_ADDRESS_NO_PORT of ip(7)), so that every
	// port can be used once per remote address. If a name has addresses of its family, the others
	// are not tried. Default: the kernel chooses the address as well.
	LocalAddr netip.AddrPort
	// FallbackDelay is how long the attempt at one address goes on alone. Then the next address is
	// tried as well. An attempt that fails is followed by the next at once. The first connection
	// wins, and the other attempts are given up (RFC 8305 section 5, "happy eyeballs"). If it is
	// negative, or LocalAddr has a port, addresses are tried one after the other. Each then gets an
	// equal share of the time that is left, or two seconds if that is more. Default: 250 ms.
	FallbackDelay time.Duration
	// LookupNetIP looks up the addresses of a host name, as the method of net.Resolver does.
	// network is "ip", "ip4" or "ip6". Addresses are tried in the order in which it returns them,
	// except that the two families take turns unless FallbackDelay is negative (RFC 8305 section
	// 4). It is called on a goroutine of its own. Default: that of net.DefaultResolver.
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Loop is the number of the loop that serves the connection. Use new(c.Loop()) for the loop of
	// c. Default: the loop with the fewest connections.
	Loop *int
	// Proxy is a header of the PROXY protocol that is sent before everything else, also before the
	// handshake of Layer. Dial copies it. Default: none.
	Proxy *ProxyHeader
	// Layer is what stands between the socket and the Protocol: TLS, of package tlslayer. done is
	// called when its handshake is done, or has failed. That has a timeout of its own, behind that
	// of Dial, and ends with ctx as well. Default: none.
	Layer Layer
}

// fallbackDelay is the Connection Attempt Delay that RFC 8305 section 5 recommends.
const fallbackDelay = 250 * time.Millisecond

// Dial connects to address without blocking. The engine serves the connection by the Protocol that
// done returns for it.
//
// network is "tcp", "tcp4" or "tcp6" with a "host:port", or "unix" with a path. An empty host is
// this machine. If a host has several addresses, DialConfig.FallbackDelay says when each is tried.
// If the backlog of a unix socket is full, Dial tries again until Timeout.
//
// done is called once, on the loop that serves the connection. If the connection is open, done gets
// it, before anything is read, and a nil error; if done returns nil, it is closed. Otherwise done
// gets nil and the error, and its result is ignored. The error wraps the first errno (such as
// ECONNREFUSED), the error of the look-up, the cause of ctx's end, which is
// context.DeadlineExceeded after Timeout, or ErrShutdown. ctx has no effect on the open connection.
//
// If Dial itself returns an error, done is not called: an argument is bad, or it is ErrClosed
// because the engine is ending. Dial may be called from any goroutine, before Run as well.
func (e *Engine) Dial(ctx context.Context, network, address string, config DialConfig,
	done func(*Conn, error) Protocol) error {
	if err := checkFunc("dial", "done", done == nil); err != nil {
		return err
	}
	l, err := e.loopOr(config.Loop)
	if err != nil {
		return err
	}
	d := &dialing{network: network, address: address, config: config, done: done, loop: l, given: ctx}
	if err = d.parse(); err == nil && config.Proxy != nil {
		d.header, err = config.Proxy.Append(nil)
	}
	if err != nil {
		return fmt.Errorf("engine: dial %s %s: %w", network, address, err)
	}
	if d.config.Timeout <= 0 {
		d.config.Timeout = 10 * time.Second
	}
	if d.config.FallbackDelay == 0 {
		d.config.FallbackDelay = fallbackDelay
	}
	if e.isStopping() {
		return ErrClosed
	}
	d.ctx, d.cancel = context.WithTimeout(ctx, d.config.Timeout)
	return d.post()
}

// parse finds the one address to try, or the name to look up.
func (d *dialing) parse() error {
	switch d.network {
	case "unix":
		d.addresses = []string{d.address}
		return nil
	case "tcp", "tcp4", "tcp6":
	default:
		return errors.New("unknown network: want tcp, tcp4, tcp6 or unix")
	}
	host, service, err := net.SplitHostPort(d.address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return fmt.Errorf("port %q: want 0 to 65535", service)
	}
	d.port = uint16(port)
	only4, only6 := d.network == "tcp4", d.network == "tcp6"
	addr, err := netip.ParseAddr(host)
	switch addr = addr.Unmap(); {
	case host == "" || err == nil && addr.IsUnspecified(): // as net.Dialer understands them
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if only6 {
			addr = netip.IPv6Loopback()
		}
	case err != nil:
		d.host = host
		return nil
	case only4 && !addr.Is4():
		return fmt.Errorf("%v is not an IPv4 address", addr)
	case only6 && addr.Is4():
		return fmt.Errorf("%v is not an IPv6 address", addr)
	}
	d.addresses = []string{netip.AddrPortFrom(addr, d.port).String()}
	return nil
}

// isStopping reports whether the engine has begun to end.
func (e *Engine) isStopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}
