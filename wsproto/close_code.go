package wsproto

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4). 3000 to 4999 are for
// libraries and applications.
type CloseCode uint16

// The close codes of RFC 6455, and those that IANA has registered since then: 1012 to 1014.
const (
	NormalClosure       CloseCode = 1000
	GoingAway           CloseCode = 1001
	ProtocolFault       CloseCode = 1002
	UnsupportedData     CloseCode = 1003
	NoStatus            CloseCode = 1005 // never sent: there was a Close frame without a code
	AbnormalClosure     CloseCode = 1006 // never sent: there was no Close frame
	InvalidPayload      CloseCode = 1007
	PolicyViolation     CloseCode = 1008
	MessageTooBig       CloseCode = 1009
	MandatoryExtension  CloseCode = 1010
	InternalError       CloseCode = 1011
	ServiceRestart      CloseCode = 1012
	TryAgainLater       CloseCode = 1013
	BadGateway          CloseCode = 1014
	TLSHandshakeFailure CloseCode = 1015 // never sent
)

// MaxReason is the size of the longest reason in a Close frame, in bytes.
const MaxReason = MaxControl - 2

// Sendable reports whether a Close frame may have this code (RFC 6455 sections 7.4.1 and 7.4.2).
func (c CloseCode) Sendable() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014:
		return true
	case c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// AppendClose appends the payload of a Close frame to dst. With NoStatus it is empty. A reason that
// is longer than MaxReason is cut at the end of a character; one that is not UTF-8 is left out.
func AppendClose(dst []byte, code CloseCode, reason string) []byte {
	if code == NoStatus {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	if !utf8.ValidString(reason) {
		return dst
	}
	if len(reason) > MaxReason {
		n := MaxReason
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	return append(dst, reason...)
}

// ParseClose returns the code and the reason in the payload of a Close frame. The code of an empty
// one is NoStatus. reason is a part of payload. An error is a *ProtocolError.
func ParseClose(payload []byte) (code CloseCode, reason []byte, err error) {
	switch {
	case len(payload) == 0:
		return NoStatus, nil, nil
	case len(payload) == 1:
		return 0, nil, errCloseLength
	}
	code, reason = CloseCode(binary.BigEndian.Uint16(payload)), payload[2:]
	if !code.Sendable() {
		return 0, nil, &ProtocolError{ProtocolFault, "7.4.1", fmt.Sprintf("close code %d may not be sent", code)}
	}
	if !utf8.Valid(reason) {
		return 0, nil, errCloseReason
	}
	return code, reason, nil
}
