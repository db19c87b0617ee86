package driver

import "time"

// Poller waits for the events of one loop's descriptors.
type Poller interface {
	// Now returns a monotonic clock that starts near 0. The simulator's is virtual.
	Now() time.Duration

	// Poll delivers the events that are there to s. If there are none, it waits for an event, for
	// Wake, or for timeout. A negative timeout waits for ever, 0 does not wait. n is the number of
	// events that it saw, wakes included.
	Poll(timeout time.Duration, s Sink) (n int, err error)
	// Wake ends a Poll that waits, or else the next one that would wait. Any goroutine may call it
	// at any time. After Shut it does nothing.
	Wake()

	// Yield lets other goroutines run that can, on the loop's goroutine and also while Poll
	// delivers something. idle reports that it was not necessary, since a processor was idle.
	Yield() (idle bool)

	// RegisterListener adds a listener. Its events are Accepted and AcceptFailed.
	RegisterListener(fd int, t Token) error
	// SetAccepting pauses and resumes accepting, which may be so already. What was collected before
	// may still be delivered.
	SetAccepting(fd int, t Token, accept bool) error
	// Accept does now what Poll does for a listener: it delivers connections until there are no
	// more, or Accepted returns false, or the listener is closed.
	Accept(t Token, s Sink)
	// CloseListener removes a listener and closes it. When it returns, nothing more is accepted.
	// Any goroutine may call it, once for each listener, before Shut.
	CloseListener(fd int, t Token)

	// Register adds a connection or a datagram socket.
	Register(fd int, t Token, i Interest) error
	// SetInterest replaces the interest. Without any interest only a reset or hang-up is delivered,
	// as Writable, once.
	SetInterest(fd int, t Token, from, to Interest) error
	// Unregister removes a connection that has interest i and stays open.
	Unregister(fd int, i Interest)
	// Close removes the descriptor of a connection or datagram socket and closes it, also if
	// another descriptor of the same socket stays open. With reset the peer gets a RST, if the
	// protocol has one. Close does not wait for the peer, whatever SO_LINGER says.
	Close(fd int, reset bool)

	// Shut closes the poller's own descriptors. The loop has closed all others.
	Shut()
}

// Interest is what a registration waits for.
type Interest uint8

const (
	Read  Interest = 1 << iota // Reading, Received, ReadClosed and Datagrams
	Write                      // Writable
)

// Sink is the loop, as a Poller sees it.
type Sink interface {
	// Awake is called when a Poll that may have waited goes on, before it delivers anything.
	Awake()

	// Reading returns where to put the bytes that wait for t. fd is -1 if t is stale or does not
	// want to read now: skip the event. Otherwise buf is not empty. The poller reads up to len(buf)
	// bytes and calls Received, ReadClosed or Failed, or nothing after EAGAIN. A completion poller
	// does not call Reading.
	Reading(t Token) (fd int, buf []byte)
	// Received delivers b, a prefix of what Reading returned. For a completion poller it is the
	// poller's own memory, valid and writable until Received returns. more reports that b filled
	// buf, so that more is probably there. If again is true, a readiness poller reads once more
	// before it goes to the next event.
	Received(t Token, b []byte, more bool) (again bool)
	// ReadClosed reports the peer's FIN: no more bytes follow.
	ReadClosed(t Token)
	// Writable reports that t can take more output. It may be called without that.
	Writable(t Token)
	// Failed reports that t is broken. err is the errno of the read, or SO_ERROR.
	Failed(t Token, err error)

	// Accepted hands over a new connection of listener t. It is non-blocking, close-on-exec, not
	// yet registered, and has NoDelay if it is a TCP connection. If again is false, the poller
	// accepts no more in this turn.
	Accepted(t Token, fd int) (again bool)
	// AcceptFailed reports an error of accept(2) other than EAGAIN, EINTR and ECONNABORTED, which
	// the poller handles.
	AcceptFailed(t Token, err error)

	// Datagrams reports that there are datagrams for t, which can be stale: see Sockets.Receive.
	// Datagram sockets get Writable and Failed, too.
	Datagrams(t Token)
}
