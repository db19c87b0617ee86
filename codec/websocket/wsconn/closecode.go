package wsconn

import "github.com/myriadnet/myriad/wsproto"

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4). Applications use 3000
// to 4999.
type CloseCode = wsproto.CloseCode

// Close codes of RFC 6455 and of IANA's registry.
const (
	NormalClosure       = wsproto.NormalClosure
	GoingAway           = wsproto.GoingAway
	ProtocolFault       = wsproto.ProtocolFault
	UnsupportedData     = wsproto.UnsupportedData
	NoStatus            = wsproto.NoStatus        // never sent: the Close frame had no code
	AbnormalClosure     = wsproto.AbnormalClosure // never sent: there was no Close frame
	InvalidPayload      = wsproto.InvalidPayload
	PolicyViolation     = wsproto.PolicyViolation
	MessageTooBig       = wsproto.MessageTooBig
	MandatoryExtension  = wsproto.MandatoryExtension
	InternalError       = wsproto.InternalError
	ServiceRestart      = wsproto.ServiceRestart
	TryAgainLater       = wsproto.TryAgainLater
	BadGateway          = wsproto.BadGateway
	TLSHandshakeFailure = wsproto.TLSHandshakeFailure // never sent
)

// CloseError is the end of a connection by a closing handshake. It has the codes and reasons of
// both ends, and tells which end closed first.
type CloseError = wsproto.CloseError

// CloseStatus returns the code of the peer's Close frame if err is or wraps a *CloseError, and the
// code of the rule that the peer broke if it is a *wsproto.ProtocolError. It returns
// AbnormalClosure for any other error, since there was no Close frame then, and 0 if err is nil.
func CloseStatus(err error) CloseCode { return wsproto.CloseStatus(err) }
