package driver

import (
	"io/fs"
	"net"
	"net/netip"
)

// Backend makes pollers and sockets. Any goroutine may call its methods.
type Backend interface {
	// Open makes what one loop stands on.
	Open() (Poller, Sockets, error)

	// Listen makes a listening socket: non-blocking, close-on-exec, SO_REUSEADDR. network is "tcp"
	// (dual stack), "tcp4", "tcp6" or "unix". address is a path, or an address and port without
	// names. The file of a unix socket that has lost its owner is taken over.
	Listen(network, address string, o ListenOptions) (fd int, err error)
	// ListenPacket makes a bound datagram socket: non-blocking, close-on-exec. network is "udp"
	// (dual stack), "udp4", "udp6" or "unixgram".
	ListenPacket(network, address string, o PacketOptions) (fd int, err error)
	// Connect makes a socket like Listen's and begins to connect it, bound to local if that is
	// valid. If it is then registered for Write, it gets Writable or Failed when that has ended:
	// see Sockets.Connected.
	Connect(network, address string, local netip.AddrPort) (fd int, err error)

	// Addr returns the address that a listening socket is bound to, the zero AddrPort for a unix
	// socket.
	Addr(fd int) netip.AddrPort
	// Spare opens a descriptor whose only use is to be closed when no other one is left.
	Spare() (fd int, err error)
	// NetConn makes a net.Conn of a connection that no poller has. fd must not be used afterwards,
	// nor after an error.
	NetConn(fd int) (net.Conn, error)
	// CloseFd closes a descriptor that no poller has: a listener, a connection or a spare one.
	CloseFd(fd int)
	// Leave closes a descriptor of a connection that no poller has, and does nothing to the
	// connection: another process has it.
	Leave(fd int)
}

// ListenOptions are the options of a listening socket that must be set before bind(2) or listen(2).
type ListenOptions struct {
	ReusePort   bool  // share the address with other such sockets: the kernel spreads the peers
	BindOnly    bool  // without listen(2): the kernel gives no peer to the socket yet
	Backlog     int   // 0: the kernel's maximum
	DeferAccept int   // TCP_DEFER_ACCEPT in seconds, where there is one; 0: off
	KeepAlive   int   // the Option, for the connections to inherit; 0: off
	ReadBuffer  int   // ReceiveBuffer, in the same way; 0: the system's
	WriteBuffer int   // SendBuffer, in the same way; 0: the system's
	File        *File // where Listen puts the file of a unix socket

	FileMode fs.FileMode // of that file; 0: as the umask says

	Control func(fd int) error // called before bind(2), unless nil
}

// PacketOptions are the options of a datagram socket. A UDP socket that is bound to the unspecified
// address gets Peer.Local with each datagram, on systems that tell: kqueue does not.
type PacketOptions struct {
	ReusePort               bool  // share the address with other such sockets: likewise
	ReadBuffer, WriteBuffer int   // SO_RCVBUF and SO_SNDBUF in bytes; 0: the system's
	Coalesce                bool  // UDP_GRO, where there is one
	File                    *File // where ListenPacket puts the file of a unix socket

	FileMode fs.FileMode // of that file; 0: as the umask says

	Control func(fd int) error // called before bind(2), unless nil
}
