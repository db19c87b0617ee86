package wsproto

import (
	"fmt"
	"strings"
)

// ProtocolError says which rule the peer broke, or which limit it exceeded.
type ProtocolError struct {
	Code    CloseCode // to be sent to the peer
	Section string    // of RFC 6455, or of another RFC that it names
	Text    string    // what is wrong
}

// Error returns the text and the section.
func (e *ProtocolError) Error() string {
	if strings.Contains(e.Section, "RFC") {
		return fmt.Sprintf("websocket: %s (section %s)", e.Text, e.Section)
	}
	return fmt.Sprintf("websocket: %s (RFC 6455 section %s)", e.Text, e.Section)
}

var (
	errRSV          = &ProtocolError{ProtocolFault, "5.2", "reserved bit set without an extension that defines it"}
	errRSVControl   = &ProtocolError{ProtocolFault, "5.2", "reserved bit set in a control or continuation frame"}
	errOpcode       = &ProtocolError{ProtocolFault, "5.2", "reserved opcode"}
	errUnmasked     = &ProtocolError{ProtocolFault, "5.1", "frame of a client is not masked"}
	errMasked       = &ProtocolError{ProtocolFault, "5.1", "frame of a server is masked"}
	errControlLong  = &ProtocolError{ProtocolFault, "5.5", "control frame over the limit of 125 bytes"}
	errControlSplit = &ProtocolError{ProtocolFault, "5.5", "control frame is fragmented"}
	errNoMessage    = &ProtocolError{ProtocolFault, "5.4", "continuation frame without a message to continue"}
	errInMessage    = &ProtocolError{ProtocolFault, "5.4", "new message before the end of a fragmented one"}
	errLengthForm   = &ProtocolError{ProtocolFault, "5.2", "payload length is not in its shortest form"}
	errLengthSign   = &ProtocolError{ProtocolFault, "5.2", "most significant bit of a 64-bit payload length is set"}
	errCloseLength  = &ProtocolError{ProtocolFault, "5.5.1", "close frame with a payload of 1 byte"}
	errCloseReason  = &ProtocolError{InvalidPayload, "5.5.1", "close reason is not UTF-8"}
	errUTF8         = &ProtocolError{InvalidPayload, "8.1", "text message is not UTF-8"}
)
