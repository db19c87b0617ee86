package wire

import (
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// Codes of an Error. They are those of HTTP where it has the like.
const (
	CodeName       = 400 // the name of the topic is empty or too long
	CodeForbidden  = 403 // the client may not subscribe or publish
	CodeSubscribed = 409 // the client has subscribed to the topic already
	CodeTooLarge   = 413 // the message exceeds Endpoint.MaxPublish
	CodeTooMany    = 429 // too many topics; for functions of a user also: too often
	CodeBusy       = 503 // too much waits to be published, or the server ends: try again later
)

// Error is why a request of a client was not carried out. The functions of an Endpoint, and
// Hub.Authorize, return one to tell the client. The connection stays open.
type Error struct {
	Code int    // one of the codes above, or another one from 400 to 599
	Text string // for people
}

func (e *Error) Error() string { return fmt.Sprintf("wire: %s (%d)", e.Text, e.Code) }

var (
	errForbidden = &Error{CodeForbidden, "not allowed"}
	errTooLarge  = &Error{CodeTooLarge, "the message is too large"}

	errUnavailable = &Error{CodeBusy, "nothing can be published now, try again later"}
)

// tell returns what a client is told of an error. Texts of errors that are not meant for it stay
// here.
func tell(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, topic.ErrName):
		return &Error{CodeName, "the name of the topic is empty or too long"}
	case errors.Is(err, topic.ErrSubscribed):
		return &Error{CodeSubscribed, "already subscribed"}
	case errors.Is(err, topic.ErrTooMany):
		return &Error{CodeTooMany, "too many topics"}
	case errors.Is(err, engine.ErrBusy):
		return &Error{CodeBusy, "busy, try again later"}
	case errors.Is(err, topic.ErrClosed), errors.Is(err, engine.ErrClosed):
		return &Error{CodeBusy, "the server is shutting down"}
	}
	return errForbidden
}
