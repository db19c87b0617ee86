package wsproto

import "encoding/binary"

// Header is a frame's header (RFC 6455 section 5.2).
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
	RSV    byte // RSV1 is 4, RSV2 is 2, RSV3 is 1
	Fin    bool
	Masked bool
}

// MaxHeader is the length of the longest header, in bytes.
const MaxHeader = 14

// RSV1 is the reserved bit that permessage-deflate uses (RFC 7692 section 6).
const RSV1 = 4

// ParseHeader reads the header at the beginning of src and returns how long it is: 0 if there is not all of it yet, when
// h says what the first two bytes do, the length as 126 or 127. It checks the length's form and nothing else: for the
// other rules there is CheckHeader, which needs no more than these two bytes.
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

// AppendHeader appends h in its shortest form.
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

// AppendFrame appends a whole, unmasked, unfragmented frame: a server's.
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

// FrameSize is how many bytes AppendFrame appends for a payload of n bytes.
func FrameSize(n int) int {
	switch {
	case n < 126:
		return 2 + n
	case n < 1<<16:
		return 4 + n
	}
	return 10 + n
}

// AppendMasked appends a whole, masked, unfragmented frame: a client's. The key must be unpredictable (RFC 6455 section
// 5.3): see Keys. payload is not changed.
func AppendMasked(dst []byte, op Opcode, key Key, payload []byte) []byte {
	dst = AppendHeader(dst, Header{Fin: true, Opcode: op, Masked: true, Key: key, Length: uint64(len(payload))})
	n := len(dst)
	dst = append(dst, payload...)
	Mask(dst[n:], key)
	return dst
}
