package handshake

import (
	"fmt"
	"net/textproto"
)

// Error says why an opening handshake has failed: at a server, which rule a request broke or which
// limit it exceeded; at a client, that the response does not have status 101, or broke a rule.
type Error struct {
	// Status is the HTTP status of the response: the one to send at a server, the one received at a
	// client, which is 0 if the response could not be read.
	Status  int
	Section string // of the RFC, with its name
	Text    string

	// At a client, these belong to a response with another status than 101. Convert Header to
	// http.Header where that is wanted; among its fields may be WWW-Authenticate, Retry-After, and
	// the Location of a redirection, which is never followed.
	Header textproto.MIMEHeader
	Body   []byte // the first 4 KiB of the content, as far as it has arrived
}

// Error returns the text and the section.
func (e *Error) Error() string { return fmt.Sprintf("websocket: %s (%s)", e.Text, e.Section) }

func refuse(status int, section, text string) *Error {
	return &Error{Status: status, Section: section, Text: text}
}
