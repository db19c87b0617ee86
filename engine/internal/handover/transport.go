package handover

import (
	"errors"
	"time"
)

// MaxDescriptors is how many descriptors one message can carry: SCM_MAX_FD of Linux.
const MaxDescriptors = 253

// ErrWouldBlock is what Transport.Send and Receive return when there is no room or nothing to read.
var ErrWouldBlock = errors.New("would block")

// ErrTooManyRefs is what Transport.Send returns when too many descriptors, or bytes, of this user
// are on their way: ETOOMANYREFS and ENOBUFS. It is worth another try a little later.
var ErrTooManyRefs = errors.New("too many descriptors on their way")

// Transport is one end of a stream that carries descriptors. Its methods do not block. They are
// called by one goroutine, that of Run or Step.
type Transport interface {
	// Send sends the beginning of p, which is not empty, and returns how much. The descriptors
	// travel with the first byte: if n > 0, all are sent, otherwise none. The caller keeps its own.
	// With ErrWouldBlock and ErrTooManyRefs nothing fits now; any other error is final.
	// Bytes that were sent can be received until the other end closes, even after Shutdown.
	Send(p []byte, descriptors []int) (n int, err error)

	// Receive receives up to len(p) bytes, and appends the descriptors that came with them to fds.
	// They are the caller's, and close-on-exec. ErrWouldBlock means that nothing is there now,
	// io.EOF that the other end is closed or shut down and all was received. With any other error
	// nothing was received, and no descriptor is left open.
	Receive(p []byte, fds []int) (n int, got []int, err error)

	// Shutdown ends both directions. When it returns, no Send of the other end succeeds any more;
	// what it had sent before can still be received, followed by io.EOF.
	Shutdown()

	// Close closes this end.
	Close()

	// CloseDescriptor closes a descriptor that was received. It may be called from any goroutine,
	// also after Close.
	CloseDescriptor(fd int)
}

// Waiter is a Transport for Run, which waits for events.
type Waiter interface {
	Transport

	// Wait returns when Receive may not return ErrWouldBlock, or Send if write is set, or after
	// Wake, or after d.
	Wait(write bool, d time.Duration) error

	// Wake ends the current or the next Wait. It may be called from any goroutine, also after
	// Close.
	Wake()
}
