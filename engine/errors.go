package engine

import (
	"errors"
	"fmt"
	"syscall"
)

// The reasons that Protocol.Closed gets, and the errors of methods. Compare with errors.Is: a
// reason may be wrapped in an *UnsentError.
var (
	// ErrClosed means that the connection, handle or engine is closed or closing.
	ErrClosed = errors.New("engine: closed")
	// ErrWriteClosed means Write after CloseWrite.
	ErrWriteClosed = errors.New("engine: write after CloseWrite")
	// ErrPeerClosed means that the peer sent its FIN. Everything written before was flushed.
	ErrPeerClosed = errors.New("engine: closed by peer")
	// ErrReset means that the peer reset the connection, or that it broke in another way. The errno
	// is wrapped.
	ErrReset = errors.New("engine: connection reset")
	// ErrAborted means that Abort was called.
	ErrAborted = errors.New("engine: aborted")
	// ErrIdleTimeout means that no byte arrived for the time given to Conn.SetIdleTimeout.
	ErrIdleTimeout = errors.New("engine: idle timeout")
	// ErrTimeout means that the time given to Conn.SetTimeout has passed.
	ErrTimeout = errors.New("engine: timeout")
	// ErrLinger means that, after Close, the peer did not take the queued bytes or did not send its
	// FIN within Config.Linger.
	ErrLinger = errors.New("engine: peer did not finish within the linger time")
	// ErrInboundLimit means that the Protocol left more than Config.MaxInbound bytes unconsumed.
	ErrInboundLimit = errors.New("engine: unconsumed input limit exceeded")
	// ErrOutboundLimit means that Write was called while more than Config.MaxOutbound bytes were
	// queued for the peer.
	ErrOutboundLimit = errors.New("engine: outbound queue limit exceeded")
	// ErrWriteStall means that the peer took none of the queued bytes for Config.WriteTimeout.
	ErrWriteStall = errors.New("engine: peer stopped reading")
	// ErrSlow means that the peer did not catch up within Config.SlowGrace: see SlowClose.
	ErrSlow = errors.New("engine: peer too slow")
	// ErrBufferLimit means that all peers together made the engine hold more than
	// Config.MaxBuffered, and that this connection was one of those that held much of it.
	ErrBufferLimit = errors.New("engine: buffer limit exceeded")
	// ErrBusy means that more than Config.MaxPosted bytes already wait for the loop.
	ErrBusy = errors.New("engine: too many bytes posted to the loop")
	// ErrShutdown means that Engine.Shutdown or Engine.Close closed the connection.
	ErrShutdown = errors.New("engine: shut down")
	// ErrOnLoop means that a function that waits for a loop, such as Engine.Shutdown, Close, Stats
	// or Inspect, was called on one. Call it on another goroutine.
	ErrOnLoop = errors.New("engine: called on a loop, which cannot wait for itself")
	// ErrReleased means that Conn.Release took the connection out of the engine.
	ErrReleased = errors.New("engine: connection released")
	// ErrHandedOver means that another process has taken over the connection, or the engine's
	// listeners and connections: see Handover. It wraps ErrClosed.
	ErrHandedOver error = handedOver{}
	// ErrRefused means that the accept function returned no Protocol.
	ErrRefused = errors.New("engine: connection refused by the accept function")
)

// handedOver is ErrHandedOver, whose text does not repeat that of ErrClosed.
type handedOver struct{}

func (handedOver) Error() string { return "engine: handed over to another process" }
func (handedOver) Unwrap() error { return ErrClosed }

// UnsentError reports that a connection ended before everything that Write accepted was sent.
type UnsentError struct {
	Reason error // why the connection ended
	// Bytes is how many bytes the kernel did not take; or, if the peer has reset the connection
	// after that, how many it had not acknowledged (Linux): it may have received some of these.
	Bytes int
}

// Error returns the text of Reason, and how many bytes were unsent.
func (e *UnsentError) Error() string {
	return fmt.Sprintf("%v, with %d bytes unsent", e.Reason, e.Bytes)
}

// Unwrap returns Reason.
func (e *UnsentError) Unwrap() error { return e.Reason }

// PanicError is the reason of a connection that was closed because a call of its Protocol panicked.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // debug.Stack at the panic
}

// Error returns the value as text, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("engine: panic in a handler: %v", e.Value) }

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// limitError adds the limit to the text of an error.
type limitError struct {
	error
	limit int
}

func (e *limitError) Error() string { return fmt.Sprintf("%v (%d bytes)", e.error, e.limit) }
func (e *limitError) Unwrap() error { return e.error }

// wrapError is an error behind a text. fmt.Errorf would ask err
// for its text at once: one of the user's may panic then, where only some panics are caught.
type wrapError struct {
	text string
	err  error
}

func (e *wrapError) Error() string { return fmt.Sprintf("%s: %v", e.text, e.err) }
func (e *wrapError) Unwrap() error { return e.err }

// refusedError is ErrRefused, because of an error of Handover.Load.
type refusedError struct{ error }

func (e refusedError) Error() string   { return fmt.Sprintf("%v: %v", ErrRefused, e.error) }
func (e refusedError) Unwrap() []error { return []error{ErrRefused, e.error} }

// errReset and errPipe are ErrReset for a peer that has reset the connection, and for a write that
// has shown that.
var (
	errReset = &resetErrno{syscall.ECONNRESET}
	errPipe  = &resetErrno{syscall.EPIPE}
)

// resetErrno is ErrReset with an errno that adds nothing to its text.
type resetErrno struct{ errno syscall.Errno }

func (e *resetErrno) Error() string        { return ErrReset.Error() }
func (e *resetErrno) Is(target error) bool { return target == ErrReset }
func (e *resetErrno) Unwrap() error        { return e.errno }

// resetError returns the reason of a connection that the kernel reported err for.
func resetError(err error) error {
	switch err {
	case syscall.ECONNRESET:
		return errReset
	case syscall.EPIPE:
		return errPipe
	}
	return fmt.Errorf("%w: %w", ErrReset, err)
}

// checkFunc returns an error if a function that a call needs is nil. Otherwise it would panic
// later, on a loop, where nothing tells who gave it.
func checkFunc(call, name string, isNil bool) error {
	if isNil {
		return fmt.Errorf("engine: %s: %s is nil", call, name)
	}
	return nil
}

// needFunc is checkFunc for calls that have no error to return: it panics.
func needFunc(call, name string, isNil bool) {
	if err := checkFunc(call, name, isNil); err != nil {
		panic(err.Error())
	}
}
