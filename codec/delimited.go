package codec

import "bytes"

// Line is a codec for lines of text that end with LF. A CR before it is taken off; Append writes LF alone.
type Line struct {
	Max int // the longest line without its end, in bytes. 0: DefaultMax
}

// Decode implements Codec.
func (l Line) Decode(src []byte, scanned int) (msg []byte, n, next int, err error) {
	most := limit(l.Max)
	i := bytes.IndexByte(src[scanned:], '\n')
	if i < 0 {
		if len(src) > most+1 || len(src) == most+1 && src[most] != '\r' {
			return nil, 0, 0, &LimitError{most}
		}
		return nil, 0, len(src), nil
	}
	i += scanned
	msg = src[:i]
	if i > 0 && msg[i-1] == '\r' {
		msg = msg[:i-1]
	}
	if len(msg) > most {
		return nil, 0, 0, &LimitError{most}
	}
	return msg, i + 1, 0, nil
}

// Append implements Codec. A line has no LF in it, and no CR at its end.
func (l Line) Append(dst, msg []byte) ([]byte, error) {
	if most := limit(l.Max); len(msg) > most {
		return dst, &LimitError{most}
	}
	if bytes.IndexByte(msg, '\n') >= 0 || len(msg) > 0 && msg[len(msg)-1] == '\r' {
		return dst, &FormatError{"a line has no LF in it and no CR at its end"}
	}
	return append(append(dst, msg...), '\n'), nil
}

// Delimiter is a codec for messages that end with a sequence of bytes, which is not in them.
type Delimiter struct {
	Sequence string // at least one byte
	Max      int    // the longest message without its end, in bytes. 0: DefaultMax
}

// Decode implements Codec.
func (d Delimiter) Decode(src []byte, scanned int) (msg []byte, n, next int, err error) {
	if d.Sequence == "" {
		return nil, 0, 0, errNoSequence
	}
	most := limit(d.Max)
	from := max(scanned-len(d.Sequence)+1, 0) // its beginning may have been looked at
	i := index(src[from:], d.Sequence)
	if i < 0 {
		if len(src) >= most+len(d.Sequence) {
			return nil, 0, 0, &LimitError{most}
		}
		return nil, 0, len(src), nil
	}
	if i += from; i > most {
		return nil, 0, 0, &LimitError{most}
	}
	return src[:i], i + len(d.Sequence), 0, nil
}

// Append implements Codec.
func (d Delimiter) Append(dst, msg []byte) ([]byte, error) {
	if d.Sequence == "" {
		return dst, errNoSequence
	}
	if most := limit(d.Max); len(msg) > most {
		return dst, &LimitError{most}
	}
	n := len(dst)
	dst = append(append(dst, msg...), d.Sequence...)
	if index(dst[n:], d.Sequence) != len(msg) { // also where the end of msg and the sequence make another one
		return dst[:n], &FormatError{"the message has its delimiter in it"}
	}
	return dst, nil
}

var errNoSequence = &FormatError{"Delimiter without a Sequence"}

// index is bytes.Index without making a slice of the sequence.
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
