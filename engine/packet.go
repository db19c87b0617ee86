package engine

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// PacketAddr is the address of the peer of a datagram: an address and port for UDP, or the path of
// a unix socket, which may be "". It is comparable. A peer that asks two addresses of this host has
// two PacketAddrs, and two Sessions.
type PacketAddr struct {
	netip.AddrPort
	// Path is that of a unix socket. "@" begins the name of one in Linux's abstract namespace.
	Path string
	// Local is the address of this host that the peer has asked. A datagram has it if its socket is
	// bound to the unspecified address, such as ":9000". WriteTo sends from Local if it is valid;
	// otherwise the system chooses the address, which a connected peer may not accept. Only Linux
	// tells it: elsewhere bind a socket to each address instead.
	Local netip.Addr
}

// String returns the address and port, or the path of a unix socket.
func (a PacketAddr) String() string {
	if a.AddrPort.IsValid() {
		return a.AddrPort.String()
	}
	return a.Path
}

// PacketProtocol serves a datagram socket. Like those of a Protocol, its methods are called on the
// socket's loop, one at a time. It may also implement PacketFailer and Shutdowner.
//
// A panic in Datagram drops that datagram. It is counted, and logged at most once a second.
type PacketProtocol interface {
	// Datagram gets one whole datagram. It may modify b, which belongs to the engine again when
	// Datagram returns. A datagram of more than 64 KiB, which unix sockets allow, is dropped and
	// counted as one of PacketErrors.
	Datagram(from PacketAddr, b []byte)
	// Closed is the last call, made once, with the reason: nil after Close, ErrShutdown, or the
	// error that broke the socket. If datagrams that WriteTo accepted were not sent, the reason is
	// wrapped in an *UnsentError.
	Closed(err error)
}

// PacketFailer is implemented by a PacketProtocol that wants to know which datagrams could not be
// sent.
type PacketFailer interface {
	// Failed is called when the kernel refuses a datagram that WriteTo accepted. err is the errno,
	// such as EMSGSIZE, ENETUNREACH, or EAGAIN if the queue of a unixgram peer is full.
	Failed(to PacketAddr, err error)
}

// MaxDatagram is the size of the largest datagram that WriteTo accepts, in bytes: the limit of UDP
// over IPv4.
const MaxDatagram = 65507

// PacketConfig is how a datagram socket is opened. The zero value is ready to use.
//
// ECN marks are not supported; docs/decisions/0006-datagrams.md says why.
type PacketConfig struct {
	// PerLoop opens one socket per loop on the same address (SO_REUSEPORT). The kernel spreads the
	// peers over them, and keeps each peer on one of them. Otherwise one loop serves all peers. It
	// does not apply to unixgram. On systems that would give all peers to one of the sockets Listen
	// returns an error that wraps errors.ErrUnsupported: see ListenConfig.PerLoop.
	PerLoop bool
	// ReadBuffer and WriteBuffer are SO_RCVBUF and SO_SNDBUF of socket(7), in bytes. Datagrams that
	// arrive while the buffer is full are lost. Default: the system's.
	ReadBuffer, WriteBuffer int
	// FileMode is the permissions of a unix socket's file: see ListenConfig.FileMode. On Linux they
	// hold from the beginning; on other systems the file has those that the umask leaves for a
	// moment, between bind(2) and chmod(2).
	FileMode fs.FileMode
	// Control is called with each socket before bind(2): see ListenConfig.Control.
	Control func(network, address string, c syscall.RawConn) error
}

// ListenPacket is PacketConfig.Listen with the zero configuration.
func (e *Engine) ListenPacket(network, address string,
	accept func(*PacketConn) PacketProtocol) (*PacketListener, error) {
	return PacketConfig{}.Listen(e, network, address, accept)
}

// Listen opens a datagram socket. The engine serves it by the PacketProtocol that accept returns
// for it. network is "udp", "udp4" or "udp6" with a "host:port", or "unixgram" with a path. Port 0
// lets the kernel choose; a client uses that. A path that a dead process has left behind is taken
// over, and the path is removed in the end.
//
// accept is called once per socket, on its loop, before anything is received; SessionConfig.Accept
// returns such a function. If accept returns nil, the socket is closed. Listen may be called from
// any goroutine, before Run as well.
func (pc PacketConfig) Listen(e *Engine, network, address string,
	accept func(*PacketConn) PacketProtocol) (*PacketListener, error) {
	if err := checkFunc("listen", "accept", accept == nil); err != nil {
		return nil, err
	}
	if err := checkFileMode(pc.FileMode); err != nil {
		return nil, fmt.Errorf("engine: listen: %w", err)
	}
	pl := &PacketListener{engine: e}
	switch network {
	case "udp", "udp4", "udp6":
		a, err := net.ResolveUDPAddr(network, address)
		if err != nil {
			return nil, fmt.Errorf("engine: listen: %w", err)
		}
		address = a.String()
	case "unixgram":
		pl.path, pc.PerLoop = address, false
	default:
		return nil, fmt.Errorf("engine: listen: unknown network %q: want udp, udp4, udp6 or unixgram; "+
			"Listen serves tcp and unix", network)
	}
	if e.isStopping() {
		return nil, ErrClosed
	}
	sockets := 1
	if pc.PerLoop {
		sockets = len(e.loops)
	}
	options := driver.PacketOptions{
		ReusePort: pc.PerLoop, ReadBuffer: pc.ReadBuffer, WriteBuffer: pc.WriteBuffer, Coalesce: true,
		File: &pl.file, FileMode: pc.FileMode, Control: controls(pc.Control, network, address),
	}
	fds, err := e.openGroup(sockets, address, func(address string) (int, error) {
		return e.backend.ListenPacket(network, address, options)
	})
	if err != nil {
		return nil, fmt.Errorf("engine: listen %s %s: %w", network, address, err)
	}
	if err := e.servePackets(pl, fds, accept); err != nil {
		return nil, err
	}
	return pl, nil
}

// servePackets gives pl its sockets, and each of them a loop. It is called with e.mu locked.
func (e *Engine) servePackets(pl *PacketListener, fds []int, accept func(*PacketConn) PacketProtocol) error {
	pl.addr = e.backend.Addr(fds[0])
	e.mu.Lock() // not before: to open a socket calls Control, and may wait for the lock of a path
	defer e.mu.Unlock()
	if e.stopping {
		pl.file.Remove()
		for _, fd := range fds {
			e.backend.CloseFd(fd)
		}
		return ErrClosed
	}
	for _, fd := range fds {
		pl.conns = append(pl.conns, &PacketConn{loop: e.nextLoop(), listener: pl, fd: fd, inet6: pl.addr.Addr().Is6()})
	}
	var ended error // the driver of a loop has failed
	for _, p := range pl.conns {
		if err := p.loop.do(func() { p.open(accept) }); err != nil {
			pl.file.Remove()
			e.backend.CloseFd(p.fd)
			ended = err
		}
	}
	if ended != nil {
		pl.Close()
	}
	return ended
}
