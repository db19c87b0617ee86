package handshake

import "fmt"

// Error says why a server refuses a request: an HTTP status, and the rule that the request broke or
// the limit that it exceeded.
type Error struct {
	Status  int
	Section string // with the name of the RFC
	Text    string
}

// Error returns the text and the section.
func (e *Error) Error() string { return fmt.Sprintf("websocket: %s (%s)", e.Text, e.Section) }

func refuse(status int, section, text string) *Error { return &Error{status, section, text} }

// ResponseError says why an opening handshake has failed at a client: the response does not have
// status 101, or broke a rule.
type ResponseError struct {
	Status   int    // of the response; 0: it could not be read
	Location string // of a redirection, which is never followed
	Section  string // with the name of the RFC
	Text     string
}

// Error returns the text and the section.
func (e *ResponseError) Error() string { return fmt.Sprintf("websocket: %s (%s)", e.Text, e.Section) }
