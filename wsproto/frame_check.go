package wsproto

// Check checks the header of a frame that receiver has received, by the rules of RFC 6455.
// inMessage says that a fragmented message has begun and not ended, deflate that permessage-deflate
// is agreed on. Check returns nil or a *ProtocolError.
func (h Header) Check(receiver Role, inMessage, deflate bool) error {
	switch {
	case h.RSV&^RSV1 != 0: // 5.2: no extension has it
		return errRSV
	case h.RSV != 0 && !deflate:
		return errRSV
	case h.RSV != 0 && h.Opcode != Text && h.Opcode != Binary: // 6.1 of RFC 7692
		return errRSVControl
	case h.Opcode > Binary && h.Opcode < Close || h.Opcode > Pong: // 5.2: reserved
		return errOpcode
	case receiver == Server && !h.Masked: // 5.1: "a client MUST mask all frames"
		return errUnmasked
	case receiver == Client && h.Masked: // 5.1: "a server MUST NOT mask any frames"
		return errMasked
	case h.Opcode.IsControl() && h.Length > MaxControl: // 5.5: "125 bytes or less"
		return errControlLong
	case h.Opcode.IsControl() && !h.Fin: // 5.5: "MUST NOT be fragmented"
		return errControlSplit
	case h.Opcode == Continuation && !inMessage: // 5.4
		return errNoMessage
	case (h.Opcode == Text || h.Opcode == Binary) && inMessage: // 5.4: one at a time
		return errInMessage
	}
	return nil
}
