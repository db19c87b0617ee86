package wsproto

import (
	"errors"
	"fmt"
)

// CloseError is the end of a connection by a closing handshake: the peer sent a Close frame.
type CloseError struct {
	Code   CloseCode // of the peer's Close frame; NoStatus if it had none
	Reason string    // of the peer's Close frame

	// SentCode and SentReason are those of this end's Close frame: its own if it closed first, else
	// the answer to the peer's. SentCode is 0 if there was none.
	SentCode   CloseCode
	SentReason string
	// SentFirst reports that this end had sent its Close frame when the peer's arrived. That is the
	// answer, or it crossed ours, which cannot be told apart: so it does not prove that the peer
	// has got what was sent before. Only an answer in the application's own messages does.
	SentFirst bool
}

// Error returns both codes and reasons, in the order in which this end has seen them. "answered
// with" has the peer's Close frame, also if that crossed ours: see SentFirst.
func (e *CloseError) Error() string {
	peers := e.Code.with(e.Reason)
	if !e.SentFirst {
		return "websocket: closed by the peer with " + peers
	}
	return fmt.Sprintf("websocket: closed with %s, answered with %s", e.SentCode.with(e.SentReason), peers)
}

// PeerClosed reports whether the peer's Close frame arrived before this end had sent its own.
func (e *CloseError) PeerClosed() bool { return !e.SentFirst }

// CloseStatus returns the close code of a connection that ended with err. That of a *CloseError is
// as RFC 6455 section 7.1.5 defines it: the code of the peer's Close frame. That of a
// *ProtocolError is the code that this end failed the connection with (section 7.1.7). It is
// AbnormalClosure for any other error, since then no Close frame came from the peer, and 0 if err
// is nil.
func CloseStatus(err error) CloseCode {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*CloseError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*ProtocolError](err); ok {
		return e.Code
	}
	return AbnormalClosure
}

// with returns the code and a reason as text.
func (c CloseCode) with(reason string) string {
	if reason == "" {
		return fmt.Sprintf("code %d", c)
	}
	return fmt.Sprintf("code %d %q", c, reason)
}
