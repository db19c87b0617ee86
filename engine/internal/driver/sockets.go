package driver

import "net/netip"

// Sockets does the system calls on the sockets of one loop. None of them blocks, even if another
// process that shares a socket has cleared its O_NONBLOCK.
type Sockets interface {
	// Write is write(2): it may take fewer bytes than len(b). b is not empty.
	Write(fd int, b []byte) (int, error)
	// Writev is writev(2) of those bufs that are not empty. It may use only the first MaxIovecs.
	Writev(fd int, bufs [][]byte) (int, error)
	// CloseWrite is shutdown(2) with SHUT_WR.
	CloseWrite(fd int) error

	// Receive takes a batch of datagrams off a datagram socket. They are the driver's memory, valid
	// and writable until the next Receive. The error is EAGAIN if there are none, and EMSGSIZE,
	// beside those that are whole, if some were longer than 64 KiB, which only unix sockets allow.
	Receive(fd int) ([]Datagram, error)
	// Send sends datagrams until the kernel takes no more. n is how many it took, the error is why
	// it did not take the next one. inet6 tells whether fd is an IPv6 socket.
	Send(fd int, inet6 bool, batch []Datagram) (n int, err error)

	// Connected reports whether a connecting socket has connected. The error is why it never will.
	Connected(fd int) (bool, error)
	// IncomingCPU returns the processor on which a connection's packets come in, -1 if the kernel
	// does not tell.
	IncomingCPU(fd int) int
	// Unacknowledged returns how many sent bytes the peer has not acknowledged; a FIN may count as
	// one. taken changes whenever the peer acknowledges some. Both are 0 if the kernel does not
	// tell.
	Unacknowledged(fd int) (left int, taken uint64)
	// Waiting reports whether there is something to read: bytes, datagrams, the peer's FIN, or an
	// error.
	Waiting(fd int) bool
	// HungUp reports whether neither side can send any more: POLLHUP or POLLERR of poll(2). err is
	// SO_ERROR of socket(7), which it clears.
	HungUp(fd int) (hungUp bool, err error)
	// Local and Remote return the addresses of a socket: the zero AddrPort for a unix socket, and
	// if there is no connection any more.
	Local(fd int) netip.AddrPort
	Remote(fd int) netip.AddrPort
	// SetOption sets a socket option.
	SetOption(fd int, o Option, value int) error
	// SetGroup lets a datagram socket join or leave a multicast group on the named interface, ""
	// for the system's choice.
	SetGroup(fd int, group netip.Addr, ifname string, join bool) error
}

// MaxIovecs limits one Writev.
const MaxIovecs = 64

// Option is a socket option with an integer value.
type Option uint8

const (
	NoDelay       Option = iota // TCP_NODELAY: 0 or 1
	KeepAlive                   // SO_KEEPALIVE and the idle time in seconds; 0: off
	ReceiveBuffer               // SO_RCVBUF, in bytes
	SendBuffer                  // SO_SNDBUF, in bytes
	Linger                      // SO_LINGER, in seconds; negative: off
	WriteAhead                  // TCP_NOTSENT_LOWAT, in bytes
)

// Peer is the address of a datagram's other end: of UDP, or the path of a unix socket, "" if it has
// none.
type Peer struct {
	netip.AddrPort
	Path string
	// Local is the address of ours that a datagram has come to, or is sent from. Received datagrams
	// have it if their socket has many: see PacketOptions.
	Local netip.Addr
}

// Datagram is one datagram, or several of the same peer and size that the kernel has joined.
type Datagram struct {
	Data    []byte
	Segment int // the size of each but the last; 0: Data is one datagram
	Peer    Peer
}
