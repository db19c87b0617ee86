package codec

import (
	"encoding/binary"
	"fmt"
)

// Fixed is a codec for messages that all have the same size.
type Fixed struct {
	Size int // in bytes, at least 1
}

// Decode implements Codec.
func (f Fixed) Decode(src []byte, _ int) (msg []byte, n, next int, err error) {
	if f.Size <= 0 {
		return nil, 0, 0, errNoSize
	}
	if len(src) < f.Size {
		return nil, 0, len(src), nil
	}
	return src[:f.Size], f.Size, 0, nil
}

// Append implements Codec.
func (f Fixed) Append(dst, msg []byte) ([]byte, error) {
	if f.Size <= 0 {
		return dst, errNoSize
	}
	if len(msg) != f.Size {
		return dst, &FormatError{fmt.Sprintf("message of %d bytes, want %d", len(msg), f.Size)}
	}
	return append(dst, msg...), nil
}

var errNoSize = &FormatError{"Fixed without a Size"}

// LengthPrefix is a codec for messages behind their length, a number of 1, 2, 4 or 8 bytes. The
// zero value is the common one: 4 bytes in network byte order.
type LengthPrefix struct {
	Bytes        int  // size of the prefix: 1, 2, 4 or 8. 0: 4
	LittleEndian bool // false: network byte order, which is big endian
	Max          int  // the longest message without its prefix, in bytes. 0: DefaultMax
}

func (l LengthPrefix) bytes() int {
	if l.Bytes == 0 {
		return 4
	}
	return l.Bytes
}

// length reads the prefix from src, which is long enough.
func (l LengthPrefix) length(src []byte) (uint64, error) {
	switch {
	case l.bytes() == 1:
		return uint64(src[0]), nil
	case l.bytes() == 2 && l.LittleEndian:
		return uint64(binary.LittleEndian.Uint16(src)), nil
	case l.bytes() == 2:
		return uint64(binary.BigEndian.Uint16(src)), nil
	case l.bytes() == 4 && l.LittleEndian:
		return uint64(binary.LittleEndian.Uint32(src)), nil
	case l.bytes() == 4:
		return uint64(binary.BigEndian.Uint32(src)), nil
	case l.bytes() == 8 && l.LittleEndian:
		return binary.LittleEndian.Uint64(src), nil
	case l.bytes() == 8:
		return binary.BigEndian.Uint64(src), nil
	}
	return 0, &FormatError{fmt.Sprintf("length prefix of %d bytes: want 1, 2, 4 or 8", l.Bytes)}
}

// Decode implements Codec.
func (l LengthPrefix) Decode(src []byte, _ int) (msg []byte, n, next int, err error) {
	if len(src) < l.bytes() {
		return nil, 0, len(src), nil
	}
	size, err := l.length(src)
	if err != nil {
		return nil, 0, 0, err
	}
	return sized(src, l.bytes(), size, orDefault(l.Max))
}

// sized decodes a message whose size is known. It compares the size with the limit before it
// converts it to an int, which may be too small for it.
func sized(src []byte, prefix int, size uint64, limit int) (msg []byte, n, next int, err error) {
	if size > uint64(limit) {
		return nil, 0, 0, &LimitError{limit}
	}
	if uint64(len(src)-prefix) < size {
		return nil, 0, len(src), nil
	}
	n = prefix + int(size)
	return src[prefix:n], n, 0, nil
}

// Append implements Codec.
func (l LengthPrefix) Append(dst, msg []byte) ([]byte, error) {
	limit, n := orDefault(l.Max), uint64(len(msg))
	if bytes := l.bytes(); bytes > 0 && bytes < 8 && n >= 1<<(8*bytes) {
		limit = min(limit, 1<<(8*bytes)-1)
	}
	if n > uint64(limit) {
		return dst, &LimitError{limit}
	}
	switch {
	case l.bytes() == 1:
		dst = append(dst, byte(n))
	case l.bytes() == 2 && l.LittleEndian:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	case l.bytes() == 2:
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	case l.bytes() == 4 && l.LittleEndian:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	case l.bytes() == 4:
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	case l.bytes() == 8 && l.LittleEndian:
		dst = binary.LittleEndian.AppendUint64(dst, n)
	case l.bytes() == 8:
		dst = binary.BigEndian.AppendUint64(dst, n)
	default:
		return dst, &FormatError{fmt.Sprintf("length prefix of %d bytes: want 1, 2, 4 or 8", l.Bytes)}
	}
	return append(dst, msg...), nil
}

// Varint is a codec for messages behind their length, an unsigned varint in its shortest form.
// Varints are those of encoding/binary and Protocol Buffers (LEB128).
type Varint struct {
	Max int // the longest message without its prefix, in bytes. 0: DefaultMax
}

var errVarint = &FormatError{"length prefix is not a varint of 64 bits in its shortest form"}

// Decode implements Codec.
func (v Varint) Decode(src []byte, _ int) (msg []byte, n, next int, err error) {
	size, prefix := binary.Uvarint(src)
	switch {
	case prefix < 0 || prefix > 1 && src[prefix-1] == 0:
		return nil, 0, 0, errVarint
	case prefix == 0:
		return nil, 0, len(src), nil
	}
	return sized(src, prefix, size, orDefault(v.Max))
}

// Append implements Codec.
func (v Varint) Append(dst, msg []byte) ([]byte, error) {
	if limit := orDefault(v.Max); len(msg) > limit {
		return dst, &LimitError{limit}
	}
	return append(binary.AppendUvarint(dst, uint64(len(msg))), msg...), nil
}
