package wstest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/myriadnet/myriad/wsproto"
)

// Frame is a frame to send, or one that was received. Fields that are zero keep the rules. Other
// values need not.
type Frame struct {
	Opcode  wsproto.Opcode
	Payload string
	More    bool // FIN is not set: another frame continues the message
	RSV     byte // wsproto.RSV1 is 4, RSV2 is 2, RSV3 is 1

	// The other fields are for sending only, and zero in a frame that was received.

	WrongMask   bool        // do not mask a client's frame, or mask a server's
	Key         wsproto.Key // of a masked frame. 0: a random one
	Length      uint64      // in the header. 0: that of Payload
	LengthBytes int         // 2 or 8 for the longer forms of the length. 0: the shortest form
}

// CloseFrame returns a Close frame.
func CloseFrame(code wsproto.CloseCode, reason string) Frame {
	return Frame{Opcode: wsproto.Close, Payload: string(wsproto.AppendClose(nil, code, reason))}
}

// Append appends the frame as role sends it.
func (f Frame) Append(dst []byte, role wsproto.Role) []byte {
	h := wsproto.Header{Opcode: f.Opcode, RSV: f.RSV, Fin: !f.More, Key: f.Key, Length: f.Length}
	if h.Length == 0 {
		h.Length = uint64(len(f.Payload))
	}
	if h.Masked = (role == wsproto.Client) != f.WrongMask; h.Masked && h.Key == 0 {
		h.Key = wsproto.Key(1 + rand.Uint32N(math.MaxUint32))
	}
	dst = f.appendHeader(dst, h)
	n := len(dst)
	dst = append(dst, f.Payload...)
	if h.Masked {
		wsproto.Mask(dst[n:], h.Key)
	}
	return dst
}

func (f Frame) appendHeader(dst []byte, h wsproto.Header) []byte {
	if f.LengthBytes == 0 {
		return wsproto.AppendHeader(dst, h)
	}
	length, masked := h.Length, h.Masked
	h.Length, h.Masked = 126, false // in a form that is 2 bytes and 2 bytes of length
	n := len(dst)
	dst = wsproto.AppendHeader(dst, h)[:n+2]
	if f.LengthBytes == 2 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	} else {
		dst[n+1] = 127
		dst = binary.BigEndian.AppendUint64(dst, length)
	}
	if masked {
		dst[n+1] |= 0x80
		dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Key))
	}
	return dst
}

// String returns a short description for test failures.
func (f Frame) String() string {
	s := f.Opcode.String()
	if f.Opcode == wsproto.Close {
		if code, reason, err := wsproto.ParseClose([]byte(f.Payload)); err == nil {
			s = fmt.Sprintf("close %d %q", code, reason)
		}
	} else {
		s = fmt.Sprintf("%v %s", f.Opcode, quote(f.Payload))
	}
	if f.More {
		s += ", to be continued"
	}
	if f.RSV != 0 {
		s += fmt.Sprintf(", RSV %03b", f.RSV)
	}
	return s
}

// quote returns s in quotes, or its beginning.
func quote(s string) string {
	const limit = 100
	if len(s) <= limit {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… of %d bytes", s[:limit], len(s))
}
