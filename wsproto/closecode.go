package wsproto

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4, and IANA's registry for 1012 to 1014).
type CloseCode uint16

const (
	NormalClosure       CloseCode = 1000
	GoingAway           CloseCode = 1001
	ProtocolFault       CloseCode = 1002
	UnsupportedData     CloseCode = 1003
	NoStatus            CloseCode = 1005 // never sent: the Close frame had no code
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

// MaxReason is the longest reason of a Close frame, in bytes: a control frame's payload less the code.
const MaxReason = MaxControl - 2

// Sendable says whether the code may be in a Close frame (RFC 6455 sections 7.4.1 and 7.4.2).
func (c CloseCode) Sendable() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014:
		return true
	case c >= 3000 && c <= 4999: // libraries and applications
		return true
	}
	return false
}

// AppendClose appends the payload of a Close frame. NoStatus makes it empty. A reason that is too long is cut at the end
// of a character; one that is not UTF-8 is left out.
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

// ParseClose takes the payload of a Close frame apart; reason is part of it. The code of an empty one is NoStatus.
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
