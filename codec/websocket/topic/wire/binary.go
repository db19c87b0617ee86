package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// What a server sends begins with one of these bytes.
const (
	eventSubscribed = 0x81 + iota
	eventMessage
	eventGap
	eventMembers
	eventPresence
	eventPublished
	eventError
	eventPong
)

// binaryEncoding is SubprotocolBinary: a byte for the type, then numbers as varints, and strings
// with their length in front.
type binaryEncoding struct{}

func (binaryEncoding) Opcode() websocket.Opcode { return websocket.Binary }

func (binaryEncoding) Message(dst []byte, name string, m *topic.Message) []byte {
	dst = putString(append(dst, eventMessage), name)
	dst = append(putPosition(dst, m.Position), byte(m.Op))
	return append(dst, m.Data...)
}

func (binaryEncoding) Subscribed(dst []byte, name string, at topic.Position) []byte {
	return putPosition(putString(append(dst, eventSubscribed), name), at)
}

func (binaryEncoding) Gap(dst []byte, name string, g topic.Gap) []byte {
	return putPosition(putPosition(putString(append(dst, eventGap), name), g.After), g.Next)
}

func (binaryEncoding) Present(dst []byte, name string, joined, left []topic.Member) []byte {
	dst = putMembers(putString(append(dst, eventPresence), name), joined)
	dst = binary.AppendUvarint(dst, uint64(len(left)))
	for i := range left {
		dst = putString(dst, left[i].ID)
	}
	return dst
}

func (binaryEncoding) members(dst []byte, name string, list []topic.Member, more int) []byte {
	dst = putMembers(putString(append(dst, eventMembers), name), list)
	return binary.AppendUvarint(dst, uint64(more))
}

func (binaryEncoding) published(dst []byte, id uint64) []byte {
	return binary.AppendUvarint(append(dst, eventPublished), id)
}

func (binaryEncoding) failed(dst []byte, id uint64, name []byte, e *Error) []byte {
	dst = binary.AppendUvarint(append(dst, eventError), uint64(e.Code))
	dst = binary.AppendUvarint(dst, id)
	return putString(putString(dst, name), e.Text)
}

func (binaryEncoding) pong(dst []byte) []byte { return append(dst, eventPong) }

func putString[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func putPosition(dst []byte, p topic.Position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, p.Epoch), p.Seq)
}

func putMembers(dst []byte, list []topic.Member) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for i := range list {
		dst = putString(putString(dst, list[i].ID), list[i].Info)
	}
	return dst
}

func (binaryEncoding) parse(b []byte) (r request, err error) {
	if len(b) == 0 {
		return r, errEnds
	}
	r.kind = kind(b[0])
	rest := b[1:]
	switch r.kind {
	case kindSubscribe:
		if r.topic, rest, err = cutString(rest); err == nil && len(rest) > 0 {
			r.recover = true
			r.after, rest, err = cutPosition(rest)
		}
	case kindUnsubscribe:
		r.topic, rest, err = cutString(rest)
	case kindPublish:
		if r.id, rest, err = cutUvarint(rest); err == nil {
			r.topic, rest, err = cutString(rest)
		}
		if err == nil {
			err = r.setContent(rest)
			rest = nil
		}
	case kindPing:
	default:
		return r, fmt.Errorf("unknown type %d", b[0])
	}
	switch {
	case err != nil:
		return r, err
	case len(rest) > 0:
		return r, fmt.Errorf("%d bytes too many in a message of type %d", len(rest), b[0])
	case r.id > maxID:
		return r, errID
	}
	return r, nil
}

// setContent takes the end of a publish: an opcode, and what is published.
func (r *request) setContent(b []byte) error {
	if len(b) == 0 {
		return errEnds
	}
	r.op, r.data = websocket.Opcode(b[0]), b[1:]
	if r.op != websocket.Text && r.op != websocket.Binary {
		return fmt.Errorf("opcode %d is neither text nor binary", b[0])
	}
	if r.op == websocket.Text && !utf8.Valid(r.data) {
		return errUTF8
	}
	return nil
}

var (
	errEnds   = errors.New("the message ends too early")
	errVarint = errors.New("a number is over 64 bits, or not in its shortest form")
	errUTF8   = errors.New("a text is not valid UTF-8")
	errID     = errors.New("an id is over 2^53-1")
)

func cutUvarint(b []byte) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	switch {
	case size == 0:
		return 0, nil, errEnds
	case size < 0, size > 1 && b[size-1] == 0:
		return 0, nil, errVarint
	}
	return n, b[size:], nil
}

func cutString(b []byte) (s, rest []byte, err error) {
	s, rest, err = cutBytes(b)
	if err == nil && !utf8.Valid(s) {
		return nil, nil, errUTF8
	}
	return s, rest, err
}

// cutBytes is cutString for what need not be valid UTF-8.
func cutBytes(b []byte) (s, rest []byte, err error) {
	n, b, err := cutUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, errEnds
	}
	return b[:n], b[n:], nil
}

func cutPosition(b []byte) (p topic.Position, rest []byte, err error) {
	if p.Epoch, b, err = cutUvarint(b); err != nil {
		return p, nil, err
	}
	p.Seq, b, err = cutUvarint(b)
	return p, b, err
}
