package engine

import (
	"errors"
	"fmt"
)

// Cause is a class of reasons for the end of a connection.
type Cause int

const (
	CauseClose    Cause = iota // Close, and everything was delivered
	CausePeer                  // ErrPeerClosed; an error whose PeerClosed() bool returns true
	CauseReset                 // ErrReset
	CauseProtocol              // an error of Feed that has no method Cause() Cause
	CausePanic                 // a *PanicError
	CauseAbort                 // ErrAborted
	CauseTimeout               // ErrIdleTimeout, ErrTimeout
	CauseLinger                // ErrLinger
	CauseStall                 // ErrWriteStall, ErrSlow
	CauseLimit                 // ErrInboundLimit, ErrOutboundLimit, ErrBufferLimit
	CauseRefused               // ErrRefused
	CauseDial                  // Dial failed: it was never open
	CauseShutdown              // ErrShutdown
	CauseRelease               // ErrReleased
	CauseHandover              // ErrHandedOver
	Causes                     // the number of causes
)

var causeNames = [Causes]string{
	"close", "peer", "reset", "protocol", "panic", "abort", "timeout",
	"linger", "stall", "limit", "refused", "dial", "shutdown", "release", "handover",
}

// String returns the name of the class, as it is used for metrics.
func (c Cause) String() string {
	if c < 0 || c >= Causes {
		return fmt.Sprintf("Cause(%d)", int(c))
	}
	return causeNames[c]
}

// causeOf returns the class of the reason of a connection that was open.
func causeOf(reason error) Cause {
	if reason == ErrHandedOver { // of all connections at once: the search takes 1 us
		return CauseHandover
	}
	switch reason := reason.(type) {
	case nil:
		return CauseClose
	case *PanicError: // first: it may wrap one of the errors below, if that was given to panic
		return CausePanic
	case interface{ Cause() Cause }: // without errors.As, which allocates
		return reason.Cause()
	case interface{ PeerClosed() bool }: // such as that of a WebSocket that was closed in order
		if reason.PeerClosed() {
			return CausePeer
		}
	}
	for _, k := range [...]struct {
		err   error
		cause Cause
	}{
		{ErrPeerClosed, CausePeer}, {ErrReset, CauseReset}, {ErrAborted, CauseAbort}, {ErrIdleTimeout, CauseTimeout},
		{ErrTimeout, CauseTimeout}, {ErrLinger, CauseLinger}, {ErrInboundLimit, CauseLimit},
		{ErrOutboundLimit, CauseLimit},
		{ErrRefused, CauseRefused}, {ErrShutdown, CauseShutdown},
		{ErrReleased, CauseRelease}, {ErrHandedOver, CauseHandover},
		{ErrWriteStall, CauseStall}, {ErrSlow, CauseStall}, {ErrBufferLimit, CauseLimit},
	} {
		if errors.Is(reason, k.err) {
			return k.cause
		}
	}
	var own interface{ Cause() Cause }
	if errors.As(reason, &own) {
		return own.Cause()
	}
	var closer interface{ PeerClosed() bool }
	if errors.As(reason, &closer) && closer.PeerClosed() {
		return CausePeer
	}
	return CauseProtocol
}
