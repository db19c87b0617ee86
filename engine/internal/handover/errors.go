package handover

import (
	"errors"
	"fmt"
)

// The texts have no prefix: package engine wraps or logs them behind its own.
var (
	// ErrFull is what Giver.Post returns while GiverConfig.Queue batches are not settled.
	ErrFull = errors.New("too many batches are not settled")

	// ErrOver is what Post returns after the end.
	ErrOver = errors.New("it is over")

	// ErrTooLarge is what Post returns for a batch of more than MaxDescriptors items or more than
	// MaxState bytes. Split it, or do not move that connection.
	ErrTooLarge = errors.New("the batch is too large")

	// ErrTimeout means that the other process made no progress for Timeout, or Patience.
	ErrTimeout = errors.New("the other process does not answer")

	// ErrClosed means that the other process has closed the stream, or died.
	ErrClosed = errors.New("the other process has ended or given up")

	// ErrVersion means that the other process speaks another version of this protocol.
	ErrVersion = errors.New("the other process speaks another version of the protocol")

	// ErrNobody is what Dial returns when no process offers at the path.
	ErrNobody = errors.New("nobody offers at this path")

	// ErrInUse is what Listen returns when another process offers at the path, or when the file
	// there is not a socket.
	ErrInUse = errors.New("the path is in use")

	// ErrPeer means that the other process has another user.
	ErrPeer = errors.New("the other process has another user")

	// ErrMalformed means that the other process broke the protocol. The text of the error that
	// wraps it says how.
	ErrMalformed = errors.New("malformed data from the other process")
)

// RefusedError means that the other process does not want the handover.
type RefusedError struct {
	Reason string // for a log, at most 1 KiB
}

// Error returns a text with the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the other process refuses: %q", e.Reason)
}

// BrokenError is what Run returns for a handover that ended between READY and BYE. Both processes
// may be alive, and each owns what it was told. The giver accepts again, because the taker may be
// dead. The taker goes on accepting.
type BrokenError struct {
	Err error
}

// Error returns a text that says so, and why.
func (e *BrokenError) Error() string { return "broken halfway: " + e.Err.Error() }

// Unwrap returns Err.
func (e *BrokenError) Unwrap() error { return e.Err }
