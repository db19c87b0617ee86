package engine

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// ListenConfig is how a Listener accepts. The zero value is what Engine.Listen uses: no limits but the engine's.
//
// A connection over a limit is accepted and closed at once, which tells the peer more than silence would; Stats counts it
// by its cause. A rate makes peers wait in the kernel's backlog.
type ListenConfig struct {
	// Backlog is listen(2)'s. Default: the kernel's maximum.
	Backlog int
	// MaxConnections is how many connections of this listener may be open at a time. Default: no limit.
	MaxConnections int
	// MaxPerAddress is how many of them one remote address may have: an IPv4 address, or the /64 prefix of an IPv6 one,
	// which is what one subscriber has. It costs a getpeername(2) and 16 bytes per connection. Default: no limit.
	MaxPerAddress int
	// AcceptRate is how many connections are accepted per second. After a lull as many may come at once. Default: no limit.
	AcceptRate int
	// FollowCPU gives a connection to the loop that is bound (Config.CPUs) to the processor on which its packets come in:
	// SO_INCOMING_CPU of socket(7), Linux only. It is for machines whose network card spreads connections over the processors
	// evenly; nothing else keeps the loops in balance then. Default: the loop with the fewest connections gets it.
	FollowCPU bool
	// PlaceByAddress gives all connections of one client address (Conn.RemotePrefix) to the same loop, which is always the
	// same one for as long as Config.Loops is. State that belongs to a client then needs no lock. Nothing else keeps the
	// loops in balance. It costs a getpeername(2) per connection. A unix socket has no addresses, and is not affected.
	PlaceByAddress bool
	// DeferAccept has the kernel hand over a TCP connection when its first bytes have come, or after about this long:
	// TCP_DEFER_ACCEPT of tcp(7), in whole seconds, on Linux; elsewhere it does nothing. Not for protocols in which the
	// server speaks first. Default: off.
	DeferAccept time.Duration
	// KeepAlive makes the kernel probe a TCP peer that has sent nothing for so long, in whole seconds: SO_KEEPALIVE and
	// TCP_KEEPIDLE, as Conn.SetKeepAlive does. On Linux a connection inherits it, so that it costs nothing per connection.
	// Default: off.
	KeepAlive time.Duration
	// ReadBuffer and WriteBuffer are SO_RCVBUF and SO_SNDBUF of the connections, in bytes, as by Conn.SetReadBuffer and
	// SetWriteBuffer. Linux doubles them. TCP connections inherit them there, too. Default: the system's, which it tunes.
	ReadBuffer, WriteBuffer int
}

// options are the options of a listening socket.
func (lc *ListenConfig) options() driver.ListenOptions {
	return driver.ListenOptions{
		Backlog:     lc.Backlog,
		DeferAccept: seconds(lc.DeferAccept),
		KeepAlive:   seconds(lc.KeepAlive),
		ReadBuffer:  lc.ReadBuffer,
		WriteBuffer: lc.WriteBuffer,
	}
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Listen listens on address and serves each connection by the Protocol that accept returns for it.
//
// network is "tcp", "tcp4" or "tcp6" with a "host:port" (port 0: the kernel chooses, see Listener.Addr), or "unix" with
// a path. The socket is bound and listening when Listen returns; connections are served as soon as Run runs. A path that
// a dead process left behind is taken over; an address in use is an error.
//
// accept is called on the connection's loop, once, before anything is read. It may use the Conn at once, and keep it.
// If it returns nil the connection is closed. ListenConfig.Listen is the same with limits.
func (e *Engine) Listen(network, address string, accept func(*Conn) Protocol) (*Listener, error) {
	return ListenConfig{}.Listen(e, network, address, accept)
}

// Listen is Engine.Listen with this configuration. It may be called from any goroutine.
func (lc ListenConfig) Listen(e *Engine, network, address string, accept func(*Conn) Protocol) (*Listener, error) {
	if lc.FollowCPU && lc.PlaceByAddress {
		return nil, errors.New("engine: listen: FollowCPU and PlaceByAddress exclude each other")
	}
	ln := newListener(network, lc, accept)
	switch network {
	case "tcp", "tcp4", "tcp6":
		a, err := net.ResolveTCPAddr(network, address)
		if err != nil {
			return nil, fmt.Errorf("engine: listen: %w", err)
		}
		address = a.String()
	case "unix":
		ln.path, ln.owned = address, true
	default:
		return nil, fmt.Errorf("engine: listen: unknown network %q: want tcp, tcp4, tcp6 or unix", network)
	}
	err := e.listen(ln, func() (int, error) {
		return e.backend.Listen(network, address, lc.options())
	})
	if err != nil {
		return nil, fmt.Errorf("engine: listen %s %s: %w", network, address, err)
	}
	return ln, nil
}

// Serve takes over a listener that is open already, as http.Serve does: a *net.TCPListener or a *net.UnixListener, such as
// net.FileListener makes of an inherited descriptor. After Serve has returned nil, nl is closed and its socket is the
// engine's; the file of a unix socket is never removed. After an error nl is as it was. Of lc, Backlog and DeferAccept
// have no effect. Serve may be called from any goroutine.
func (lc ListenConfig) Serve(e *Engine, nl net.Listener, accept func(*Conn) Protocol) (*Listener, error) {
	if lc.FollowCPU && lc.PlaceByAddress {
		return nil, errors.New("engine: serve: FollowCPU and PlaceByAddress exclude each other")
	}
	var ln *Listener
	switch nl := nl.(type) {
	case *net.TCPListener:
		ln = newListener("tcp", lc, accept)
	case *net.UnixListener:
		ln = newListener("unix", lc, accept)
		ln.path = nl.Addr().String()
	default:
		return nil, fmt.Errorf("engine: serve: want a *net.TCPListener or a *net.UnixListener, not %T", nl)
	}
	if err := e.listen(ln, func() (int, error) { return takeOver(nl.(syscall.Conn), ln) }); err != nil {
		return nil, fmt.Errorf("engine: serve %s: %w", nl.Addr(), err)
	}
	if u, ok := nl.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	nl.Close() // its own descriptor
	return ln, nil
}

// listen gives ln a socket and a loop.
func (e *Engine) listen(ln *Listener, open func() (int, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return ErrClosed
	}
	fd, err := open()
	if err != nil {
		return err
	}
	ln.fd, ln.addr = fd, e.backend.Addr(fd)
	ln.loop = e.loops[e.listeners%len(e.loops)]
	e.listeners++
	if err := ln.loop.do(func() { ln.loop.listen(ln) }); err != nil {
		e.backend.CloseFd(fd)
		return err
	}
	return nil
}

// takeOver is another descriptor of c's socket, with ln's options.
func takeOver(c syscall.Conn, ln *Listener) (int, error) {
	fd, err := duplicateOf(c)
	if err != nil || ln.network == "unix" {
		return fd, err
	}
	if err := setInherited(fd, ln.config.options()); err != nil {
		platform.CloseFd(fd)
		return -1, err
	}
	return fd, nil
}

// duplicateOf is another descriptor of c's socket.
func duplicateOf(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(own uintptr) { fd, err = duplicate(int(own)) }); e != nil {
		return -1, e
	}
	return fd, err
}
