package wsproto

import "encoding/binary"

// Header is the header of a frame (RFC 6455 section 5.2).
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-------+-+-------------+-------------------------------+
//	|F|R|R|R| opcode|M| length      | 16 bits of length if it is 126,|
//	|I|S|S|S|       |A|             | 64 bits if it is 127          |
//	|N|V|V|V|       |S|             | (big endian)                  |
//	| |1|2|3|       |K|             |                               |
//	+-+-+-+-+-------+-+-------------+-------------------------------+
//	| masking key, 4 bytes, if MASK is set                          |
//	+---------------------------------------------------------------+
type Header struct {
	Length uint64 // of the payload, in bytes
	Key    Key    // if Masked
	Opcode Opcode
	RSV    byte // the reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1
	Fin    bool
	Masked bool
}

// MaxHeader is the size of the longest header, in bytes.
const MaxHeader = 14

// RSV1 is the reserved bit that permessage-deflate uses (RFC 7692 section 6).
const RSV1 = 4

// ParseHeader reads the header at the beginning of src and returns its size, or 0 if it is
// incomplete. Of an incomplete header, h has what the first two bytes say, with a Length of 126 or
// 127 if the length follows. ParseHeader checks the form of the length and no other rule.
func ParseHeader(src []byte) (h Header, n int, err error) {
	if len(src) < 2 {
		return h, 0, nil
	}
	h.Fin = src[0]&0x80 != 0
	h.RSV = src[0] >> 4 & 7
	h.Opcode = Opcode(src[0] & 0xF)
	h.Masked = src[1]&0x80 != 0
	h.Length = uint64(src[1] & 0x7F)
	n = 2
	switch h.Length {
	case 126:
		if len(src) < 4 {
			return h, 0, nil
		}
		h.Length = uint64(binary.BigEndian.Uint16(src[2:]))
		if h.Length < 126 {
			return h, 0, errLengthForm
		}
		n = 4
	case 127:
		if len(src) < 10 {
			return h, 0, nil
		}
		h.Length = binary.BigEndian.Uint64(src[2:])
		if h.Length >= 1<<63 {
			return h, 0, errLengthSign
		}
		if h.Length < 1<<16 {
			return h, 0, errLengthForm
		}
		n = 10
	}
	if h.Masked {
		if len(src) < n+4 {
			return h, 0, nil
		}
		h.Key = Key(binary.LittleEndian.Uint32(src[n:]))
		n += 4
	}
	return h, n, nil
}

// AppendHeader appends h to dst, with the length in its shortest form.
func AppendHeader(dst []byte, h Header) []byte {
	b0 := byte(h.Opcode) | h.RSV<<4
	if h.Fin {
		b0 |= 0x80
	}
	var b1 byte
	if h.Masked {
		b1 = 0x80
	}
	switch {
	case h.Length < 126:
		dst = append(dst, b0, b1|byte(h.Length))
	case h.Length < 1<<16:
		dst = append(dst, b0, b1|126, byte(h.Length>>8), byte(h.Length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, b0, b1|127), h.Length)
	}
	if h.Masked {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Key))
	}
	return dst
}

// AppendFrame appends a frame of a server to dst: unmasked, and not fragmented.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(op), byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|byte(op), 126, byte(n>>8), byte(n))
	default:
		dst = AppendHeader(dst, Header{Fin: true, Opcode: op, Length: uint64(n)})
	}
	return append(dst, payload...)
}

// FrameSize returns the size of a server's frame with a payload of n bytes, which AppendFrame
// appends.
func FrameSize(n int) int {
	switch {
	case n < 126:
		return 2 + n
	case n < 1<<16:
		return 4 + n
	}
	return 10 + n
}

// AppendMasked appends a frame of a client to dst: masked, and not fragmented. Nobody must be able
// to predict the key (RFC 6455 section 5.3). payload is not changed.
func AppendMasked(dst []byte, op Opcode, key Key, payload []byte) []byte {
	dst = AppendHeader(dst, Header{Fin: true, Opcode: op, Masked: true, Key: key, Length: uint64(len(payload))})
	n := len(dst)
	dst = append(dst, payload...)
	Mask(dst[n:], key)
	return dst
}
