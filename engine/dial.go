package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// DialConfig is how Dial connects. The zero value is ready to use.
type DialConfig struct {
	// Timeout limits the whole attempt, including the look-up of a name. Default: 10 s.
	Timeout time.Duration
	// LocalAddr is the address to bind to, for TCP. Port 0 lets the kernel choose. On Linux it
	// chooses when the remote address is known (IP_BIND_ADDRESS_NO_PORT of ip(7)), so that every
	// port can be used once per remote address. Default: the kernel chooses the address as well.
	LocalAddr netip.AddrPort
	// Loop is the number of the loop that serves the connection. Use new(c.Loop()) for the loop of
	// c. Default: the loop with the fewest connections.
	Loop *int
}

// Dial connects to address without blocking. The engine serves the connection by the Protocol that
// done returns for it.
//
// network is "tcp", "tcp4" or "tcp6" with a "host:port", or "unix" with a path. If a host has
// several addresses, they are tried one after the other.
//
// done is called once, on the loop that serves the connection. If the connection is open, done gets
// it, before anything is read, and a nil error; if done returns nil, it is closed. Otherwise done
// gets nil and the error, and its result is ignored. The error wraps the errno (such as
// ECONNREFUSED), or the cause of ctx's end, which is context.DeadlineExceeded after Timeout. If the
// engine ends while a name is looked up, done gets ErrClosed on another goroutine. ctx has no
// effect on the open connection.
//
// If Dial itself returns an error, because of a bad argument or because the engine has ended, done
// is not called. Dial may be called from any goroutine, before Run as well.
func (e *Engine) Dial(ctx context.Context, network, address string, config DialConfig,
	done func(*Conn, error) Protocol) error {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return fmt.Errorf("engine: dial: unknown network %q: want tcp, tcp4, tcp6 or unix", network)
	}
	l, err := e.loopOr(config.Loop)
	if err != nil {
		return err
	}
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	d := &dialing{network: network, address: address, local: config.LocalAddr, done: done, loop: l}
	d.ctx, d.cancel = context.WithTimeout(ctx, config.Timeout)
	host, port, err := net.SplitHostPort(address)
	_, notLiteral := netip.ParseAddr(host)
	if network == "unix" || err != nil || notLiteral == nil {
		d.addresses = []string{address} // an address without a port is refused when it is parsed
		return d.post()
	}
	go d.resolve(host, port)
	return nil
}

// dialing is an outgoing connection that is not connected yet. It is the Protocol of a Conn with
// the flag connecting, which cannot be read or written, and waits until its descriptor becomes
// writable.
type dialing struct {
	network, address string
	local            netip.AddrPort
	done             func(*Conn, error) Protocol

	loop      *loop
	ctx       context.Context
	cancel    func()
	addresses []string    // not tried yet
	conn      *Conn       // of the current attempt
	unwatch   func() bool // removes ctx's function
}

// resolve looks up a name, on a goroutine of its own.
func (d *dialing) resolve(host, port string) {
	ips, err := net.DefaultResolver.LookupNetIP(d.ctx, "ip"+strings.TrimPrefix(d.network, "tcp"), host)
	for _, ip := range ips {
		d.addresses = append(d.addresses, net.JoinHostPort(ip.Unmap().String(), port))
	}
	var ended error // if no loop is left to report to
	if err != nil {
		ended = d.loop.do(func() { d.fail(err) })
	} else {
		ended = d.post()
	}
	if ended != nil {
		d.fail(ended)
	}
}

// post makes the loop try the next address. The load keeps the loop from ending before.
func (d *dialing) post() error {
	d.loop.load.Add(1)
	n := newTask(dialTask)
	n.Value.dial = d
	err := d.loop.push(n)
	if err != nil {
		d.loop.load.Add(-1)
		d.cancel()
	}
	return err
}

// connect tries the next address.
func (d *dialing) connect() {
	l := d.loop
	address := d.addresses[0]
	d.addresses = d.addresses[1:]
	err := context.Cause(d.ctx)
	if l.stopping {
		err = ErrShutdown
	}
	fd := -1
	if err == nil {
		fd, err = l.engine.backend.Connect(d.network, address, d.local)
	}
	if err != nil {
		l.load.Add(-1)
		l.enter(nil)
		d.fail(err)
		l.exitAndSettle(nil)
		return
	}
	c := &Conn{loop: l, fd: int32(fd), times: times{active: l.tick}, proto: d, abilities: hasShutdown,
		flags: connecting | paused | blocked | wantWrite}
	c.slot, c.gen = l.conns.Insert(c)
	d.conn = c
	if err := l.poller.Register(fd, c.token(), driver.Write); err != nil {
		c.end(err)
	}
	h := c.Handle()
	d.unwatch = context.AfterFunc(d.ctx, func() { h.Post(d.cut) })
	if c.flags&touched != 0 {
		l.settle(c)
	}
}

// cut ends an attempt because ctx has ended.
func (d *dialing) cut(c *Conn) {
	if c.flags&connecting != 0 {
		c.end(context.Cause(d.ctx))
	}
}

// connected is called when a connecting descriptor has become writable: it has connected or failed.
func (l *loop) connected(c *Conn) {
	d := c.proto.(*dialing)
	switch ok, err := l.sockets.Connected(int(c.fd)); {
	case err != nil:
		c.end(err)
	case !ok:
		return
	default:
		l.stats.Dialed++
		d.unwatch()
		d.cancel()
		c.flags &^= connecting | paused | blocked
		c.proto, c.abilities, c.times.active = nil, 0, l.tick
		if d.network != "unix" {
			// An error means that the peer is gone, which the first read will find.
			l.sockets.SetOption(int(c.fd), driver.NoDelay, 1)
		}
		l.attach(c, func(c *Conn) Protocol { return d.done(c, nil) })
		if c.state == open {
			l.register(c) // now, or that it became writable would count as Flushed
		}
	}
	l.settle(c)
}

// Feed implements Protocol. There is nothing to read yet.
func (d *dialing) Feed([]byte) (int, error) { return 0, nil }

// Shutdown implements Shutdowner.
func (d *dialing) Shutdown() { d.conn.end(ErrShutdown) }

// Closed implements Protocol: the attempt has failed.
func (d *dialing) Closed(reason error) {
	d.unwatch()
	if len(d.addresses) > 0 && d.ctx.Err() == nil && !d.loop.stopping && d.post() == nil {
		return
	}
	d.fail(reason)
}

// fail reports the error to the caller.
func (d *dialing) fail(err error) {
	d.cancel()
	var errno syscall.Errno
	if errors.Is(err, ErrReset) && errors.As(err, &errno) {
		err = errno // not reset: it was never open
	}
	d.done(nil, fmt.Errorf("engine: dial %s %s: %w", d.network, d.address, err))
}
