package wire

import (
	"bytes"
	"fmt"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// event is what a server says, in the binary encoding. topic and data are parts of the message that
// it was parsed from.
type event struct {
	kind    byte
	topic   []byte
	at      topic.Position // of the message, where the subscription begins, or before a gap
	next    topic.Position // behind a gap
	op      websocket.Opcode
	data    []byte
	members []topic.Member // who are there, or have joined
	left    []string
	more    int
	id      uint64
	code    int
	text    string
}

// parse takes a message of the server. Types that it does not know are of a later version.
func (e *event) parse(b []byte) error {
	if len(b) == 0 {
		return errEnds
	}
	e.kind = b[0]
	p := parser{rest: b[1:]}
	switch e.kind {
	case eventSubscribed:
		e.topic, e.at = p.bytes(), p.position()
	case eventMessage:
		e.topic, e.at = p.bytes(), p.position()
		e.op, e.data = p.content()
	case eventGap:
		e.topic, e.at, e.next = p.bytes(), p.position(), p.position()
	case eventMembers:
		e.topic, e.members, e.more = p.bytes(), p.members(), int(p.uvarint())
	case eventPresence:
		e.topic, e.members, e.left = p.bytes(), p.members(), p.ids()
	case eventPublished:
		e.id = p.uvarint()
	case eventError:
		e.code, e.id, e.topic, e.text = int(p.uvarint()), p.uvarint(), p.bytes(), string(p.bytes())
	case eventPong:
	default:
		return nil
	}
	if p.err == nil && len(p.rest) > 0 {
		return fmt.Errorf("%d bytes too many in a message of type %#x", len(p.rest), e.kind)
	}
	return p.err
}

// parser takes a message apart. After the first error it returns zero values.
type parser struct {
	rest []byte
	err  error
}

// cut returns what f takes from the front of what is left.
func cut[T any](p *parser, f func([]byte) (T, []byte, error)) (v T) {
	if p.err != nil {
		return v
	}
	v, p.rest, p.err = f(p.rest)
	return v
}

func (p *parser) uvarint() uint64          { return cut(p, cutUvarint) }
func (p *parser) bytes() []byte            { return cut(p, cutBytes) }
func (p *parser) position() topic.Position { return cut(p, cutPosition) }

// members takes a list, and copies it.
func (p *parser) members() (list []topic.Member) {
	for n := p.uvarint(); n > 0 && p.err == nil; n-- {
		list = append(list, topic.Member{ID: string(p.bytes()), Info: bytes.Clone(p.bytes())})
	}
	return list
}

// ids takes a list of ids, and copies it.
func (p *parser) ids() (list []string) {
	for n := p.uvarint(); n > 0 && p.err == nil; n-- {
		list = append(list, string(p.bytes()))
	}
	return list
}

// content takes the end of a message: an opcode, and what was published.
func (p *parser) content() (op websocket.Opcode, data []byte) {
	if p.err == nil && len(p.rest) == 0 {
		p.err = errEnds
	}
	if p.err != nil {
		return 0, nil
	}
	op, data, p.rest = websocket.Opcode(p.rest[0]), p.rest[1:], nil
	if op != websocket.Text && op != websocket.Binary {
		p.err = fmt.Errorf("opcode %d is neither text nor binary", op)
	}
	return op, data
}
