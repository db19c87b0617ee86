package codec

import "bytes"

// Line is a codec for lines of text that end with LF or CR LF. Append ends a line with LF.
type Line struct {
	Max int // the longest line without its end, in bytes. 0: DefaultMax
}

// Decode implements Codec.
func (l Line) Decode(src []byte, scanned int) (msg []byte, n, next int, err error) {
	limit := orDefault(l.Max)
	i := bytes.IndexByte(src[scanned:], '\n')
	if i < 0 {
		if over := len(src) - limit; over > 1 || over == 1 && src[limit] != '\r' {
			return nil, 0, 0, &LimitError{limit}
		}
		return nil, 0, len(src), nil
	}
	i += scanned
	msg = src[:i]
	if i > 0 && msg[i-1] == '\r' {
		msg = msg[:i-1]
	}
	if len(msg) > limit {
		return nil, 0, 0, &LimitError{limit}
	}
	return msg, i + 1, 0, nil
}

// Append implements Codec. A line contains no LF and does not end with CR.
func (l Line) Append(dst, msg []byte) ([]byte, error) {
	if limit := orDefault(l.Max); len(msg) > limit {
		return dst, &LimitError{limit}
	}
	if bytes.IndexByte(msg, '\n') >= 0 || len(msg) > 0 && msg[len(msg)-1] == '\r' {
		return dst, &FormatError{"line contains LF or ends with CR"}
	}
	return append(append(dst, msg...), '\n'), nil
}

// Delimiter is a codec for messages that end with a sequence of bytes, which is not part of them.
type Delimiter struct {
	Sequence string // at least one byte
	Max      int    // the longest message without its end, in bytes. 0: DefaultMax
}

// Decode implements Codec.
func (d Delimiter) Decode(src []byte, scanned int) (msg []byte, n, next int, err error) {
	if d.Sequence == "" {
		return nil, 0, 0, errNoSequence
	}
	limit := orDefault(d.Max)
	from := max(scanned-len(d.Sequence)+1, 0) // the sequence may have begun in what was scanned
	i := index(src[from:], d.Sequence)
	if i < 0 {
		if len(src)-len(d.Sequence) >= limit {
			return nil, 0, 0, &LimitError{limit}
		}
		return nil, 0, len(src), nil
	}
	if i += from; i > limit {
		return nil, 0, 0, &LimitError{limit}
	}
	return src[:i], i + len(d.Sequence), 0, nil
}

// Append implements Codec. A message must not contain the sequence, nor must its end and the
// sequence together.
func (d Delimiter) Append(dst, msg []byte) ([]byte, error) {
	if d.Sequence == "" {
		return dst, errNoSequence
	}
	if limit := orDefault(d.Max); len(msg) > limit {
		return dst, &LimitError{limit}
	}
	n := len(dst)
	dst = append(append(dst, msg...), d.Sequence...)
	if index(dst[n:], d.Sequence) != len(msg) {
		return dst[:n], &FormatError{"message contains its delimiter"}
	}
	return dst, nil
}

var errNoSequence = &FormatError{"Delimiter without a Sequence"}

// index is bytes.Index for a string. It does not allocate.
func index(b []byte, sequence string) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], sequence[0])
		if i < 0 || len(b)-from-i < len(sequence) {
			return -1
		}
		if from += i; string(b[from:from+len(sequence)]) == sequence {
			return from
		}
		from++
	}
}
