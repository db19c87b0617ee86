package websocket

import (
	"github.com/myriadnet/myriad/wsproto"
)

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4). Applications may use
// 3000 to 4999 besides these.
type CloseCode = wsproto.CloseCode

// The close codes of RFC 6455, and of IANA's registry for 1012 to 1014.
const (
	NormalClosure       = wsproto.NormalClosure       // 1000
	GoingAway           = wsproto.GoingAway           // 1001
	ProtocolFault       = wsproto.ProtocolFault       // 1002
	UnsupportedData     = wsproto.UnsupportedData     // 1003
	NoStatus            = wsproto.NoStatus            // 1005: the Close frame had no code
	AbnormalClosure     = wsproto.AbnormalClosure     // 1006, never sent: there was no Close frame
	InvalidPayload      = wsproto.InvalidPayload      // 1007
	PolicyViolation     = wsproto.PolicyViolation     // 1008
	MessageTooBig       = wsproto.MessageTooBig       // 1009
	MandatoryExtension  = wsproto.MandatoryExtension  // 1010
	InternalError       = wsproto.InternalError       // 1011
	ServiceRestart      = wsproto.ServiceRestart      // 1012
	TryAgainLater       = wsproto.TryAgainLater       // 1013
	BadGateway          = wsproto.BadGateway          // 1014
	TLSHandshakeFailure = wsproto.TLSHandshakeFailure // 1015, never sent
)

// CloseError is the reason of a connection whose peer sent a Close frame: it has the codes of both
// ends, and reports which of them closed first. Its fields are those of wsproto.CloseError.
type CloseError = wsproto.CloseError

// CloseStatus returns the close code that a connection ended with, by the error that the callback
// Close got: the code of the peer's Close frame, else that of the rule that the peer broke, such as
// MessageTooBig, else AbnormalClosure. It is 0 if err is nil.
func CloseStatus(err error) CloseCode { return wsproto.CloseStatus(err) }
