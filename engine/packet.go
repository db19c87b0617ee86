package engine

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// PacketAddr is the address of a datagram's other end: of UDP, or the path of a unix socket, "" if that has none. It is
// comparable.
type PacketAddr struct {
	netip.AddrPort
	Path string
}

// String is the address as text, a path for a unix socket.
func (a PacketAddr) String() string {
	if a.AddrPort.IsValid() {
		return a.AddrPort.String()
	}
	return a.Path
}

// PacketProtocol is what serves a datagram socket. As with Protocol, its calls come from the socket's loop, one at a time.
//
// A panic in Datagram costs that datagram: it is logged, once a second at most, and counted.
//
// A PacketProtocol may have the method of PacketFailer too.
type PacketProtocol interface {
	// Datagram gets one datagram, whole. b may be modified and is the engine's again when Datagram returns.
	Datagram(from PacketAddr, b []byte)
	// Closed is the last call, once, with the reason: nil after Close, or ErrShutdown, or what broke the socket; in an
	// *UnsentError if datagrams that WriteTo had accepted were not sent.
	Closed(err error)
}

// PacketFailer is a PacketProtocol that wants to know which datagrams could not be sent.
type PacketFailer interface {
	// Failed is called when the kernel has refused a datagram that WriteTo had accepted; err is its errno, such as
	// EMSGSIZE, ENETUNREACH, or EAGAIN for the peer of a unixgram socket whose queue is full.
	Failed(to PacketAddr, err error)
}

// MaxDatagram is the largest datagram that WriteTo accepts, in bytes: what UDP's length field holds beside the headers of
// UDP and IPv4.
const MaxDatagram = 65507

// PacketConfig is how a datagram socket is opened. The zero value works.
//
// ECN marks and the local address of a datagram (IP_PKTINFO) are not offered: docs/decisions/0006-datagrams.md says why.
type PacketConfig struct {
	// PerLoop opens a socket for each loop, on the same address (SO_REUSEPORT): the kernel spreads the peers over them, each
	// peer always to the same one. Otherwise one loop serves all. Not for unixgram.
	PerLoop bool
	// ReadBuffer and WriteBuffer are SO_RCVBUF and SO_SNDBUF of socket(7), in bytes. What arrives while the buffer is full
	// is lost. Default: the system's.
	ReadBuffer, WriteBuffer int
}

// ListenPacket opens a datagram socket and serves it by the PacketProtocol that accept returns for it: PacketConfig.Listen
// with the zero configuration.
func (e *Engine) ListenPacket(network, address string, accept func(*PacketConn) PacketProtocol) (*PacketListener, error) {
	return PacketConfig{}.Listen(e, network, address, accept)
}

// Listen opens a datagram socket. network is "udp", "udp4" or "udp6" with a "host:port" (port 0: the kernel chooses), or
// "unixgram" with a path, which is taken over from a dead process and removed in the end. A client is a socket on port 0.
//
// accept is called once for each socket, on its loop, before anything is received. If it returns nil, the socket is closed.
// It may be SessionConfig.Accept's. Listen may be called from any goroutine, before Run too.
func (pc PacketConfig) Listen(e *Engine, network, address string, accept func(*PacketConn) PacketProtocol) (*PacketListener, error) {
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
		return nil, fmt.Errorf("engine: listen: unknown network %q: want udp, udp4, udp6 or unixgram", network)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return nil, ErrClosed
	}
	sockets := 1
	if pc.PerLoop {
		sockets = len(e.loops)
	}
	options := driver.PacketOptions{ReusePort: pc.PerLoop, ReadBuffer: pc.ReadBuffer, WriteBuffer: pc.WriteBuffer, Coalesce: true}
	for range sockets {
		fd, err := e.backend.ListenPacket(network, address, options)
		if err != nil {
			for _, p := range pl.conns {
				e.backend.CloseFd(p.fd)
			}
			return nil, fmt.Errorf("engine: listen %s %s: %w", network, address, err)
		}
		if pl.addr = e.backend.Addr(fd); pl.path == "" {
			address = pl.addr.String() // the others on the port that the first one got
		}
		l := e.loops[e.listeners%len(e.loops)]
		e.listeners++
		pl.conns = append(pl.conns, &PacketConn{loop: l, listener: pl, fd: fd, inet6: pl.addr.Addr().Is6()})
	}
	for _, p := range pl.conns {
		if p.loop.do(func() { p.open(accept) }) != nil {
			e.backend.CloseFd(p.fd)
		}
	}
	return pl, nil
}
