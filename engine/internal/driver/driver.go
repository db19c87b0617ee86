// Package driver is what an event loop stands on.
//
// A loop is written against completions: "these bytes arrived for token T", "T can take more output", "a connection
// was accepted". A readiness driver (epoll, kqueue) turns readiness into that by reading into a buffer that the loop
// lends it; a completion driver (io_uring) hands over buffers of its own; the simulator invents both.
//
// # Contract
//
//   - A Driver belongs to one loop. Every method but Wake is called by that loop's goroutine only.
//   - A descriptor is a small non-negative integer that the driver's Backend or an Accepted call handed out. The loop
//     owns it until Close. Nothing in this package sees a Go pointer through the kernel: registrations carry a Token.
//   - Events are level-triggered: what is not consumed is reported again by a later Poll.
//   - An event may be stale: its connection may have been closed, and its descriptor given to another, after the
//     kernel reported it. Drivers deliver by Token, never by descriptor, and Sink.Reading answers -1 for a stale one.
//   - A Sink call may panic (a handler did). A driver must stay usable: what it had not yet delivered is delivered by
//     the next Poll, or reported again by the kernel.
package driver

import (
	"net"
	"net/netip"
	"time"
)

// Token names a registration: the slot of the connection table in the low 32 bits, its generation in the high 32.
//
//	63            32 31             0
//	+---------------+---------------+
//	|  generation   |     slot      |
//	+---------------+---------------+
//
// A generation is never 0 and is never used twice for the same slot within 2^32 connections. The slot of a listener
// has ListenerBit set, that of a datagram socket DatagramBit, that of a connection neither.
type Token uint64

// ListenerBit marks the slot of a listener's token, DatagramBit that of a datagram socket's.
const (
	ListenerBit uint32 = 1 << 31
	DatagramBit uint32 = 1 << 30
)

// MakeToken packs slot and generation.
func MakeToken(slot, generation uint32) Token { return Token(generation)<<32 | Token(slot) }

// Slot is the token's index in the connection table.
func (t Token) Slot() uint32 { return uint32(t) }

// Generation tells apart the connections that had the same slot.
func (t Token) Generation() uint32 { return uint32(t >> 32) }

// Interest is what a registration waits for.
type Interest uint8

const (
	// Read asks for Reading/Received and ReadClosed.
	Read Interest = 1 << iota
	// Write asks for Writable.
	Write
)

// Sink is the loop, as a driver sees it.
type Sink interface {
	// Awake is called when a Poll that may have waited goes on, before it delivers anything.
	Awake()
	// Reading asks where to put the bytes that are waiting for t. fd is -1 if t is stale or does not want to read now:
	// skip the event. len(buf) is at least 1. The driver reads at most len(buf) bytes and answers with Received,
	// ReadClosed or Failed, or with nothing after EAGAIN. A completion driver with buffers of its own does not call it.
	Reading(t Token) (fd int, buf []byte)
	// Received delivers b, which is a prefix of what Reading returned or the driver's own memory, then valid and
	// writable until Received returns. more says that b filled buf, so more is probably waiting.
	// The result tells a readiness driver to read once more, before it turns to the next event.
	Received(t Token, b []byte, more bool) (again bool)
	// ReadClosed reports that the peer has sent its FIN: no bytes will follow.
	ReadClosed(t Token)
	// Writable reports that t can take more output. It may be called spuriously.
	Writable(t Token)
	// Failed reports that the connection (or listener) is broken; err is the errno of the read, or SO_ERROR.
	Failed(t Token, err error)
	// Accepted hands over a new connection of listener t: non-blocking, close-on-exec, with NoDelay if it has such an option, not
	// registered yet.
	// The result says whether to go on accepting in this turn.
	Accepted(t Token, fd int) (again bool)
	// Datagrams reports that datagrams have arrived for t, which may be stale: they are there for Driver.Receive. Writable
	// and Failed are for datagram sockets, too.
	Datagrams(t Token)
	// AcceptFailed reports an error of accept(2) other than EAGAIN, EINTR and ECONNABORTED, which drivers handle.
	AcceptFailed(t Token, err error)
}

// Driver waits for events and does the I/O of one loop.
//
// Read and write errors are errno values (syscall.Errno); EINTR never leaves a driver; EAGAIN is syscall.EAGAIN.
type Driver interface {
	// Now is a monotonic clock that starts near 0; the simulator's is virtual.
	Now() time.Duration

	// Poll delivers the events that are there to s; if there are none, it waits for one, for Wake, or for timeout
	// (negative: for ever; 0: does not wait). n is the number of events it saw, wakes included.
	Poll(timeout time.Duration, s Sink) (n int, err error)
	// Wake makes a Poll that waits, or else the next one that would, return. Any goroutine may call it at any time,
	// also after Shut, when it does nothing.
	Wake()

	// Listen registers a listening descriptor: its events are Accepted and AcceptFailed.
	Listen(fd int, t Token) error
	// SetListen pauses and resumes accepting. What a batch has collected before may still be delivered.
	SetListen(fd int, t Token, accept bool) error
	// Accept does at once what Poll does for a listener: it delivers connections until none waits or Accepted stops it.
	Accept(fd int, t Token, s Sink)
	// Register adds a connection with the given interest.
	Register(fd int, t Token, i Interest) error
	// SetInterest replaces the interest. With no interest at all nothing is delivered, not even a hang-up.
	SetInterest(fd int, t Token, from, to Interest) error

	// Write is write(2): it may take fewer bytes than len(b). b is not empty.
	Write(fd int, b []byte) (int, error)
	// Writev is writev(2) on the non-empty ones of bufs, of which it may use only the first MaxIovecs.
	Writev(fd int, bufs [][]byte) (int, error)
	// Receive takes a batch of datagrams off a datagram socket. They are the driver's memory, valid and writable until its
	// next Receive. The error is EAGAIN if there is none.
	Receive(fd int) ([]Datagram, error)
	// Send sends datagrams until the kernel takes no more; n is how many it took, the error is why not the next one. inet6
	// says what kind of socket fd is.
	Send(fd int, inet6 bool, batch []Datagram) (n int, err error)
	// CloseWrite is shutdown(SHUT_WR).
	CloseWrite(fd int) error
	// Close unregisters and closes fd. With reset the peer sees a RST where the protocol has one.
	Close(fd int, reset bool)

	// Release forgets fd, which stays open, and had interest i.
	Release(fd int, t Token, i Interest)

	// IncomingCPU is the processor on which a connection's packets come in; -1 if the kernel does not tell.
	IncomingCPU(fd int) int
	// Unacknowledged is how many bytes the kernel holds that the peer has not acknowledged; 0 if it does not tell.
	Unacknowledged(fd int) int
	// Connected says whether a connecting socket has connected; the error is why it never will.
	Connected(fd int) (bool, error)
	// Local and Remote are the addresses of a socket; the zero AddrPort if it has none (unix) or is disconnected.
	Local(fd int) netip.AddrPort
	Remote(fd int) netip.AddrPort
	// SetOption sets a socket option.
	SetOption(fd int, o Option, value int) error

	// Shut closes the driver's own descriptors. The loop has closed all others.
	Shut()
}

// Peer is the address of a datagram's other end: of UDP, or the path of a unix socket, "" if that has none.
type Peer struct {
	netip.AddrPort
	Path string
}

// Datagram is one datagram, or several of the same peer and size that the kernel has joined.
type Datagram struct {
	Data    []byte
	Segment int // the size of each but the last; 0: Data is one datagram
	Peer    Peer
}

// MaxIovecs bounds one Writev.
const MaxIovecs = 64

// Option is a socket option with an integer value.
type Option uint8

const (
	NoDelay       Option = iota // TCP_NODELAY: 0 or 1
	KeepAlive                   // SO_KEEPALIVE and the idle time in seconds; 0: off
	ReceiveBuffer               // SO_RCVBUF, bytes
	SendBuffer                  // SO_SNDBUF, bytes
	Linger                      // SO_LINGER, seconds; negative: off
)

// Backend makes sockets and drivers. It is chosen at run time; build tags are for operating systems only.
type Backend interface {
	// Name is "epoll", "kqueue" or "sim".
	Name() string
	// Open makes a driver for one loop.
	Open() (Driver, error)
	// Listen makes a listening socket: non-blocking, close-on-exec, SO_REUSEADDR. network is "tcp" (dual stack),
	// "tcp4", "tcp6" or "unix"; address is an AddrPort in text, host already resolved, or a path.
	Listen(network, address string, o ListenOptions) (fd int, err error)
	// ListenPacket makes a bound datagram socket: non-blocking, close-on-exec. network is "udp" (dual stack), "udp4",
	// "udp6" or "unixgram".
	ListenPacket(network, address string, o PacketOptions) (fd int, err error)
	// SetGroup joins or leaves a multicast group on the named interface, "" for the system's choice.
	SetGroup(fd int, group netip.Addr, ifname string, join bool) error
	// Connect makes a socket like Listen's and begins to connect it, bound to local if that is valid. Once registered for
	// Write, it gets Writable, or Failed, when that has ended: see Driver.Connected.
	Connect(network, address string, local netip.AddrPort) (fd int, err error)
	// Addr is the address that a listening socket is bound to (unix: the zero AddrPort).
	Addr(fd int) netip.AddrPort
	// Spare opens a descriptor that is good for nothing but to be closed when there is no other left.
	Spare() (fd int, err error)
	// NetConn makes a net.Conn of a connection that was released; fd is not to be used any more, nor after an error.
	NetConn(fd int) (net.Conn, error)
	// CloseFd closes a listening socket that no driver has, a connection that no loop took, or a spare descriptor.
	CloseFd(fd int)
}

// ListenOptions are the options of a listening socket that must be set before bind(2) or listen(2).
type ListenOptions struct {
	Backlog     int // 0: the kernel's maximum
	DeferAccept int // TCP_DEFER_ACCEPT in seconds, where there is one; 0: off
	KeepAlive   int // the Option, for the connections to inherit; 0: off
	ReadBuffer  int // ReceiveBuffer, in the same way; 0: the system's
	WriteBuffer int // SendBuffer, in the same way; 0: the system's
}

// PacketOptions are the options of a datagram socket.
type PacketOptions struct {
	ReusePort               bool // SO_REUSEPORT
	ReadBuffer, WriteBuffer int  // SO_RCVBUF and SO_SNDBUF in bytes; 0: the system's
	Coalesce                bool // UDP_GRO, where there is one
}
