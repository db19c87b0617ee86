package wsproto

// State is what the check of a header depends on besides the header.
type State struct {
	Receiver  Role // the end that received it
	InMessage bool // a fragmented message has begun and not ended
	Deflate   bool // permessage-deflate was agreed on
}

// CheckHeader checks a header by the rules of RFC 6455. It returns nil or a *ProtocolError.
func CheckHeader(h Header, s State) error {
	switch {
	case h.RSV&^RSV1 != 0: // 5.2: no extension has it
		return errRSV
	case h.RSV != 0 && !s.Deflate:
		return errRSV
	case h.RSV != 0 && h.Opcode != Text && h.Opcode != Binary: // 6.1 of RFC 7692
		return errRSVControl
	case h.Opcode > Binary && h.Opcode < Close || h.Opcode > Pong: // 5.2: reserved
		return errOpcode
	case s.Receiver == Server && !h.Masked: // 5.1: "a client MUST mask all frames"
		return errUnmasked
	case s.Receiver == Client && h.Masked: // 5.1: "a server MUST NOT mask any frames"
		return errMasked
	case h.Opcode.IsControl() && h.Length > MaxControl: // 5.5: "125 bytes or less"
		return errControlLong
	case h.Opcode.IsControl() && !h.Fin: // 5.5: "MUST NOT be fragmented"
		return errControlSplit
	case h.Opcode == Continuation && !s.InMessage: // 5.4
		return errNoMessage
	case (h.Opcode == Text || h.Opcode == Binary) && s.InMessage: // 5.4: one at a time
		return errInMessage
	}
	return nil
}
