package engine

import (
	"errors"
	"fmt"
	"syscall"
)

// The reasons that Protocol.Closed gets, and what the methods return. Compare with errors.Is: a reason may be wrapped in
// an *UnsentError.
var (
	// ErrClosed: the connection, handle or engine is closed, or was told to close.
	ErrClosed = errors.New("engine: closed")
	// ErrWriteClosed: Write after CloseWrite.
	ErrWriteClosed = errors.New("engine: write after CloseWrite")
	// ErrPeerClosed: the peer sent its FIN, and everything that we had written before was flushed.
	ErrPeerClosed = errors.New("engine: closed by peer")
	// ErrReset: the peer reset the connection, or it broke in another way; the errno is wrapped.
	ErrReset = errors.New("engine: connection reset")
	// ErrAborted: Abort was called.
	ErrAborted = errors.New("engine: aborted")
	// ErrIdleTimeout: no byte arrived for the idle timeout (Conn.SetIdleTimeout).
	ErrIdleTimeout = errors.New("engine: idle timeout")
	// ErrTimeout: the time given by Conn.SetTimeout has come.
	ErrTimeout = errors.New("engine: deadline exceeded")
	// ErrLinger: after Close, the peer did not take what was queued or did not send its FIN within Config.Linger.
	ErrLinger = errors.New("engine: peer did not finish within the linger time")
	// ErrInboundLimit: the Protocol left more than Config.MaxInbound bytes unconsumed.
	ErrInboundLimit = errors.New("engine: unconsumed input over the limit")
	// ErrOutboundLimit: a Write came while more than Config.MaxOutbound bytes were waiting for the peer.
	ErrOutboundLimit = errors.New("engine: outbound queue over the limit")
	// ErrWriteStall: the peer took nothing of what was queued for Config.WriteTimeout.
	ErrWriteStall = errors.New("engine: peer takes nothing")
	// ErrSlow: the peer had not caught up with a broadcast within Config.SlowGrace, see SlowClose.
	ErrSlow = errors.New("engine: peer does not keep up")
	// ErrBufferLimit: all connections' buffers together were over Config.MaxBuffered, and this connection had held one of
	// the largest for the longest time.
	ErrBufferLimit = errors.New("engine: buffers over the limit")
	// ErrBusy: more than Config.MaxPosted bytes wait for the loop already.
	ErrBusy = errors.New("engine: loop does not keep up")
	// ErrShutdown: Engine.Shutdown closed the connection.
	ErrShutdown = errors.New("engine: shut down")
	// ErrReleased: Conn.Release gave the connection to somebody else.
	ErrReleased = errors.New("engine: connection released")
	// ErrRefused: the accept function returned no Protocol.
	ErrRefused = errors.New("engine: connection refused by the accept function")
)

// UnsentError says that a connection ended before everything that Write had accepted went out.
type UnsentError struct {
	Reason error // why the connection ended
	Bytes  int   // how many bytes the kernel had not taken
}

func (e *UnsentError) Error() string {
	return fmt.Sprintf("%v, with %d bytes unsent", e.Reason, e.Bytes)
}

func (e *UnsentError) Unwrap() error { return e.Reason }

// PanicError is the reason of a connection that was closed because a call of its Protocol panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // debug.Stack of the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("engine: panic in a handler: %v", e.Value) }

// Unwrap is the value itself where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// limitError puts the figure into the text of a limit's error.
type limitError struct {
	error
	limit int
}

func (e *limitError) Error() string { return fmt.Sprintf("%v (%d bytes)", e.error, e.limit) }
func (e *limitError) Unwrap() error { return e.error }

// resetError is the reason for a connection that the kernel reported an error for.
func resetError(err error) error {
	if err == syscall.ECONNRESET || err == syscall.EPIPE {
		return ErrReset
	}
	return fmt.Errorf("%w: %w", ErrReset, err)
}
