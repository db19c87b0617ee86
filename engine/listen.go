package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// ListenConfig is how a Listener accepts connections. The zero value is ready to use: it has no
// limits besides the engine's.
//
// A connection over a limit is accepted and closed at once, which tells the peer more than silence
// would. LoopStats.Refused counts it. AcceptRate, however, makes peers wait in the kernel's
// backlog.
type ListenConfig struct {
	// Backlog is the backlog of listen(2). Default: the kernel's maximum.
	Backlog int
	// MaxConnections limits the open connections of this listener. Default: no limit.
	MaxConnections int
	// MaxPerAddress limits the open connections per client: per IPv4 address, or per /64 prefix of
	// an IPv6 address (see Conn.RemotePrefix). It costs a getpeername(2) and 16 bytes per
	// connection. Default: no limit.
	MaxPerAddress int
	// AcceptRate limits the connections that are accepted per second. After a quiet second, that
	// many are accepted at once. Default: no limit.
	AcceptRate int
	// FollowCPU gives a connection to the loop that is bound (Config.CPUs) to the processor that
	// receives its packets: SO_INCOMING_CPU of socket(7), on Linux only. Use it on machines whose
	// network card spreads connections evenly over the processors; the loops are not balanced
	// otherwise. Default: the loop with the fewest connections gets it.
	FollowCPU bool
	// PlaceByAddress gives all connections of one client (see Conn.RemotePrefix) to the same loop,
	// so that state per client needs no lock. The loop depends only on the address and on the
	// number of loops. The loops are not balanced otherwise. It costs a getpeername(2) per
	// connection. It does not affect unix sockets, and excludes FollowCPU.
	PlaceByAddress bool
	// DeferAccept makes the kernel hand over a TCP connection when its first bytes have come, or
	// after about this time, rounded up to seconds: TCP_DEFER_ACCEPT of tcp(7), on Linux only. Do
	// not use it if the server speaks first. A PROXY header counts as first bytes. Default: off.
	DeferAccept time.Duration
	// KeepAlive makes the kernel probe a TCP peer after this time without traffic, rounded up to
	// seconds: see Conn.SetKeepAlive. On Linux connections inherit it, at no cost per connection.
	// Default: off.
	KeepAlive time.Duration
	// ReadBuffer and WriteBuffer are SO_RCVBUF and SO_SNDBUF of the connections, in bytes; Linux
	// doubles them. See Conn.SetReadBuffer. On Linux TCP connections inherit them, at no cost per
	// connection. Default: the kernel chooses and tunes them.
	ReadBuffer, WriteBuffer int
	// Layer is what stands between the sockets and the Protocols: TLS, of package tlslayer. accept
	// is called when its handshake is done. A Layer with which no connection could be served is an
	// error. Default: none.
	Layer Layer
	// Proxy makes the listener read headers of the PROXY protocol, from proxies that are trusted:
	// see ProxyConfig. The header comes before the handshake of Layer. MaxPerAddress counts clients
	// by their addresses in the headers; what is refused then is in LoopStats.Accepted as well.
	// Proxy excludes PlaceByAddress, because the loop is chosen before the header has come.
	// Default: none; a connection pays nothing for it.
	Proxy *ProxyConfig
	// PerLoop opens one listening socket per loop on the same address (SO_REUSEPORT of socket(7)).
	// Each loop serves what it accepts; nothing goes to another loop. The kernel chooses the socket
	// by a hash of the addresses, so a few long-lived connections are not balanced: use it where
	// connections are many and short. docs/decisions/0012-listener-per-loop.md has the figures.
	// Another process of the same user may use PerLoop on the same address too, and gets its share
	// of the connections: this is how a new process takes over, while the old one shuts down.
	//
	// Backlog is that of each socket. Each loop has an equal share of AcceptRate; the other limits
	// are for all together. PerLoop is for TCP only. It excludes FollowCPU and PlaceByAddress, and
	// does not apply to Serve. Listen returns an error that wraps errors.ErrUnsupported on systems
	// that do not spread connections over sockets: all but Linux, FreeBSD and DragonFly BSD.
	PerLoop bool
	// FileMode is the permissions of a unix socket's file. Who has no permission to write to it
	// cannot connect: unix(7). It holds from the moment when peers can connect, whatever the umask
	// is, and does not affect sockets in Linux's abstract namespace. Serve does not change it.
	// Default: 0777 without the bits of the umask.
	FileMode fs.FileMode
	// Control is called with the listening socket before bind(2), like that of net.ListenConfig, to
	// set options that have no field here. address has no names any more. c is valid only during
	// the call; c.Read and c.Write return errors.ErrUnsupported. An error makes Listen fail. Serve
	// does not call it. Default: none.
	Control func(network, address string, c syscall.RawConn) error
}

// check returns an error for fields that make no sense.
func (lc *ListenConfig) check(network string) error {
	if lc.Proxy != nil {
		if lc.PlaceByAddress {
			return errors.New("PlaceByAddress excludes Proxy: the loop is chosen before the header has come")
		}
		if err := lc.Proxy.check(network == "unix"); err != nil {
			return err
		}
	}
	if l, ok := lc.Layer.(interface{ CheckListen() error }); ok {
		if err := l.CheckListen(); err != nil {
			return err
		}
	}
	if lc.FollowCPU && lc.PlaceByAddress {
		return errors.New("FollowCPU and PlaceByAddress exclude each other")
	}
	if lc.PerLoop && (lc.FollowCPU || lc.PlaceByAddress) {
		return errors.New("PerLoop excludes FollowCPU and PlaceByAddress: each loop keeps what it accepts")
	}
	return checkFileMode(lc.FileMode)
}

// checkFileMode returns an error for bits that are not permissions.
func checkFileMode(m fs.FileMode) error {
	if m != m.Perm() {
		return fmt.Errorf("FileMode is %v: want permissions only", m)
	}
	return nil
}

// options returns the options of the listening socket.
func (lc *ListenConfig) options() driver.ListenOptions {
	return driver.ListenOptions{
		ReusePort:   lc.PerLoop,
		Backlog:     lc.Backlog,
		DeferAccept: seconds(lc.DeferAccept),
		KeepAlive:   seconds(lc.KeepAlive),
		ReadBuffer:  lc.ReadBuffer,
		WriteBuffer: lc.WriteBuffer,
		FileMode:    lc.FileMode,
	}
}

// seconds rounds up. It returns no more than fits into an int of 32 bits.
func seconds(d time.Duration) int {
	return int(min((min(d, math.MaxInt64-time.Second)+time.Second-1)/time.Second, math.MaxInt32))
}

// Listen is ListenConfig.Listen with the zero configuration.
func (e *Engine) Listen(network, address string, accept func(*Conn) Protocol) (*Listener, error) {
	return ListenConfig{}.Listen(e, network, address, accept)
}

// Listen listens on address. The engine serves each connection by the Protocol that accept returns
// for it.
//
// network is "tcp", "tcp4" or "tcp6" with a "host:port", or "unix" with a path. Port 0 lets the
// kernel choose: see Listener.Addr. The socket is listening when Listen returns; connections are
// served once Run runs. An address in use is an error, but a path that a dead process has left
// behind is taken over. Listen may be called from any goroutine.
//
// accept is called once per connection, on its loop, before anything is read. It may use the Conn
// at once, and keep it. If it returns nil, the connection is closed, behind what was written to it.
func (lc ListenConfig) Listen(e *Engine, network, address string, accept func(*Conn) Protocol) (*Listener, error) {
	if err := checkFunc("listen", "accept", accept == nil); err != nil {
		return nil, err
	}
	if err := lc.check(network); err != nil {
		return nil, fmt.Errorf("engine: listen: %w", err)
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
		if lc.PerLoop {
			return nil, errors.New("engine: listen: PerLoop is for TCP: only one unix socket can have a path")
		}
		ln.path = address
	default:
		return nil, fmt.Errorf("engine: listen: unknown network %q: want tcp, tcp4, tcp6 or unix; "+
			"ListenPacket serves udp and unixgram", network)
	}
	ln.asked = network + " " + address
	err := e.listen(ln, func() ([]int, error) {
		sockets := 1
		if lc.PerLoop {
			sockets = len(e.loops)
		}
		open := func(address string) (int, error) {
			o := lc.options()
			o.BindOnly = ln.bound
			o.File, o.Control = &ln.file, controls(lc.Control, network, address)
			return e.backend.Listen(network, address, o)
		}
		if fds, err := e.inheritGroup(ln, sockets, open); len(fds) > 0 || err != nil {
			return fds, err
		}
		return e.openGroup(sockets, address, open)
	})
	if err != nil {
		return nil, fmt.Errorf("engine: listen %s %s: %w", network, address, err)
	}
	return ln, nil
}

// Serve takes over an open listener, like http.Serve: a *net.TCPListener or a *net.UnixListener,
// such as net.FileListener makes of an inherited descriptor. Backlog and DeferAccept have no
// effect. When Serve returns nil, nl is closed, and the engine owns its socket, which other
// processes may serve as well: Shutdown leaves connections in its backlog to them, and the file of
// a unix socket is never removed. When Serve returns an error, nl is unchanged. Serve may be called
// from any goroutine.
func (lc ListenConfig) Serve(e *Engine, nl net.Listener, accept func(*Conn) Protocol) (*Listener, error) {
	if err := checkFunc("serve", "accept", accept == nil); err != nil {
		return nil, err
	}
	if lc.PerLoop {
		return nil, errors.New("engine: serve: PerLoop does not apply to a socket that is open already")
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
	if err := lc.check(ln.network); err != nil {
		return nil, fmt.Errorf("engine: serve: %w", err)
	}
	ln.shared.Store(true)
	ln.asked = ln.network + " " + nl.Addr().String()
	err := e.listen(ln, func() ([]int, error) {
		fd, err := takeOver(nl.(syscall.Conn), ln)
		return []int{fd}, err
	})
	if err != nil {
		return nil, fmt.Errorf("engine: serve %s: %w", nl.Addr(), err)
	}
	if u, ok := nl.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	nl.Close() // closes its own descriptor
	return ln, nil
}

// listen gives ln the sockets that open returns, and each of them a loop.
func (e *Engine) listen(ln *Listener, open func() ([]int, error)) error {
	if e.isStopping() {
		return ErrClosed
	}
	fds, err := open() // without e.mu: it calls Control, and may wait for the lock of a path
	if err != nil {
		return err
	}
	ln.addr = e.backend.Addr(fds[0])
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moves.noteOpen(ln)
	for _, fd := range fds {
		ln.acceptors = append(ln.acceptors, &acceptor{Listener: ln, loop: e.nextLoop(), fd: fd, paid: -time.Hour})
	}
	if e.stopping {
		ln.Close()
		return ErrClosed
	}
	if e.moves.holding { // until this process is the one that accepts
		return nil
	}
	for _, a := range ln.acceptors {
		if err := a.loop.do(func() { a.loop.listen(a) }); err != nil {
			ln.Close()
			return err
		}
	}
	return nil
}

// openGroup opens n sockets on one address: all get the port of the first. open gets the address,
// with that port.
func (e *Engine) openGroup(n int, address string, open func(address string) (int, error)) (fds []int, err error) {
	defer func() { // also if Control panics
		if len(fds) < n {
			for _, fd := range fds {
				e.backend.CloseFd(fd)
			}
			fds = nil
		}
	}()
	for range n {
		fd, err := open(address)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if a := e.backend.Addr(fd); a.IsValid() {
			address = a.String()
		}
	}
	return fds, nil
}

// nextLoop returns the loop for the next socket, in turn. It is called with e.mu locked.
func (e *Engine) nextLoop() *loop {
	l := e.loops[e.listeners%len(e.loops)]
	e.listeners++
	return l
}

// takeOver returns another descriptor of c's socket, with ln's options.
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

// duplicateOf returns another descriptor of c's socket.
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
