package wsproto

import (
	"encoding/binary"
	"math/bits"
)

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events, and which fields of Event they have.
const (
	EventNone    EventKind = iota // nothing complete has arrived
	EventMessage                  // Opcode, Payload: a whole message
	EventPiece                    // Opcode, Payload: a piece of a message; more will follow
	EventLast                     // Opcode, Payload: the last piece of a message; it may be empty
	EventPing                     // Payload
	EventPong                     // Payload
	EventClose                    // Code, and the reason as Payload
)

// Event is a message, a piece of one, or a control frame that has arrived. Payload may be modified.
// It is valid until the next call of a method of the Receiver, and no longer than the bytes that
// Next was given.
type Event struct { // a fifth field would keep it out of registers: 6 ns for each
	Payload []byte
	Kind    EventKind
	Opcode  Opcode    // of a message: Text or Binary
	Code    CloseCode // NoStatus if the Close frame had none
}

// Receiver turns the bytes that one end of a connection receives into events: it splits them into
// frames, checks and unmasks these, puts fragments together and inflates. The events do not depend
// on how the bytes are split.
//
// A Receiver owns no memory beside itself unless a message has arrived in part, or context takeover
// was agreed on.
type Receiver struct { // 48 bytes
	config    *Config
	message   *buffer // what has arrived of a message, or the one that the last event has lent out
	window    *window // what compressed messages may refer to; nil: nothing
	left      uint64  // payload bytes of the current frame that are still to arrive
	key       Key     // for the next of them
	fragments uint32  // frames of the current message
	text      textState
	opcode    Opcode // of the current message; 0: none has begun
	state     receiverState
}

type receiverState uint8

const (
	inFrame    receiverState = 1 << iota // the payload of a data frame is arriving
	lastOne                              // that frame is the last of its message
	lentOut                              // message is the payload of the last event
	finished                             // after a Close frame or an error: the rest is ignored
	deflating                            // permessage-deflate is agreed on
	compressed                           // the current message is compressed
	inPieces                             // the current message is delivered in pieces
	inflating                            // it is inflated in part
)

// NewReceiver returns a Receiver. d is what the opening handshake agreed on; it is nil if that is
// no compression, otherwise c must have a Compressor.
func NewReceiver(c *Config, d *Deflate) Receiver {
	s := Receiver{config: c}
	if d != nil {
		s.state |= deflating
		if d.receiveTakeover(c.Role) {
			s.window = newWindow(d.receiveBits(c.Role))
		}
	}
	return s
}

// InMessage reports whether a message has begun and not ended.
func (s *Receiver) InMessage() bool { return s.opcode != 0 }

// Received returns how many bytes of such a message have arrived, of a compressed one before
// inflating.
func (s *Receiver) Received() uint64 {
	switch {
	case s.message == nil || s.opcode == 0:
		return 0
	case s.config.Stream:
		return s.message.taken
	case s.state&inflating != 0:
		return uint64(len(s.message.held.b))
	}
	return uint64(len(s.message.b))
}

// Inflating reports whether the last call of Next has returned EventNone because it has inflated
// what Config.InflateStep allows. Then Next is to be called again, with the bytes that it has not
// consumed, of which there is at least one. They need not have become more.
func (s *Receiver) Inflating() bool { return s.state&inflating != 0 }

// Missing returns how many bytes of the current data frame are still to arrive.
func (s *Receiver) Missing() uint64 {
	if s.state&inFrame == 0 {
		return 0
	}
	return s.left
}

// Next returns the next event in src, and how many bytes of src it has consumed. With EventNone it
// has consumed all but an incomplete header or control frame, which must be given again with more
// behind it, or it has stopped for a while: see Inflating. Next unmasks src in place.
//
// An error is a *ProtocolError. After an error and after EventClose, Next consumes and ignores
// whatever arrives.
func (s *Receiver) Next(src []byte) (ev Event, n int, err error) {
	// The usual case: a whole message in one masked frame of less than 64 KiB, with nothing else
	// under way. len(src) and the two forms of the length are looked at once; next does the same
	// for everything, step by step.
	if s.state&^deflating == 0 && s.opcode == 0 && len(src) >= 8 && s.config.Role == Server {
		b := binary.LittleEndian.Uint64(src)
		op, size := Opcode(b)-0x80, int(byte(b>>8))-0x80 // negative: not masked
		head, key := 6, Key(b>>16)
		if size >= 126 {
			if size == 127 || byte(b>>16) == 0 && byte(b>>24) < 126 {
				return s.next(src)
			}
			head, key, size = 8, Key(b>>32), int(bits.ReverseBytes16(uint16(b>>16)))
		}
		if c := s.config; (op == Text || op == Binary) && size >= 0 && size <= len(src)-head &&
			(size <= c.MaxMessage || c.MaxMessage <= 0) && // the default is above 64 KiB
			(size <= c.MaxFrame || c.MaxFrame <= 0) && (!c.Stream || size <= c.maxWhole()) {
			p := src[head : head+size : head+size]
			if op == Binary {
				mask(p, uint32(key), false)
			} else if !unmaskText(p, key) {
				return s.fail(src, errUTF8)
			}
			return Event{Kind: EventMessage, Opcode: op, Payload: p}, head + size, nil
		}
	}
	return s.next(src)
}
