package wsproto

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// EventKind is what has arrived.
type EventKind uint8

const (
	EventNone    EventKind = iota // nothing whole
	EventMessage                  // Opcode, Payload: a message, whole
	EventPiece                    // Opcode, Payload: a piece of a message; more will follow (Config.Stream)
	EventLast                     // Opcode, Payload: the last piece of one, which may be the only one, and may be empty
	EventPing                     // Payload
	EventPong                     // Payload
	EventClose                    // Code, and the reason as Payload
)

// Event is something whole that has arrived. Payload may be modified, and is valid until the next call of a method of
// the Receiver, and no longer than the bytes that Next was given. A fifth field would cost 6 ns for each: the compiler keeps
// structs of four in registers.
type Event struct {
	Payload []byte
	Kind    EventKind
	Opcode  Opcode    // of a message: Text or Binary
	Code    CloseCode // NoStatus if the Close frame had none
}

// Receiver receives: it takes frames apart, checks them, unmasks them, puts fragments together and inflates. It is 48 bytes,
// and owns no memory besides unless a message has arrived in part, or context takeover was agreed on. Events do not depend on how the input is split.
type Receiver struct {
	config    *Config
	message   *buffer // what has arrived of a message, or the one that the last event has lent out
	window    *Window // what compressed messages may refer to; nil: nothing
	left      uint64  // payload bytes that are to come of the current frame
	key       Key     // for the next of them
	fragments uint32  // frames of the current message
	text      UTF8
	opcode    Opcode // of the current message; 0: none has begun
	state     sessionState
}

type sessionState uint8

const (
	inFrame    sessionState = 1 << iota // the payload of a data frame is coming
	lastOne                             // and it is the message's last
	lentOut                             // message is the payload of the last event
	finished                            // a Close frame or an error: the rest is ignored
	deflating                           // permessage-deflate is agreed on
	compressed                          // the current message is compressed
	inPieces                            // it is delivered piece by piece
)

// NewReceiver returns a Receiver. d is what the opening handshake agreed on; it is nil if that is no
// compression, otherwise c must have a Compressor.
func NewReceiver(c *Config, d *Deflate) Receiver {
	s := Receiver{config: c}
	if d != nil {
		s.state |= deflating
		if d.ReceiveTakeover(c.Role) {
			s.window = NewWindow(d.ReceiveBits(c.Role))
		}
	}
	return s
}

// WindowBytes is the size of the window that the Receiver keeps for the rest of the connection, in bytes; 0 without context
// takeover.
func (s *Receiver) WindowBytes() int {
	if s.window == nil {
		return 0
	}
	return s.window.Size()
}

// InMessage says whether a message has begun and not ended.
func (s *Receiver) InMessage() bool { return s.opcode != 0 }

// Received is how many bytes of such a message have arrived, of a compressed one as they came.
func (s *Receiver) Received() uint64 {
	switch {
	case s.message == nil || s.opcode == 0:
		return 0
	case s.config.Stream:
		return s.message.taken
	}
	return uint64(len(s.message.b))
}

// Missing is how many bytes of the current data frame are still to come.
func (s *Receiver) Missing() uint64 {
	if s.state&inFrame == 0 {
		return 0
	}
	return s.left
}

// size is how many bytes of a message there are.
func (s *Receiver) size() uint64 {
	if s.message == nil {
		return 0
	}
	return s.message.given + uint64(len(s.message.b))
}

// Next takes the next event from src and returns how many bytes it consumed. With EventNone it has consumed all but an
// incomplete header or control frame, which must be given again with more behind it. src is unmasked in place.
//
// An error is a *ProtocolError. After it and after EventClose, whatever arrives is consumed and ignored.
func (s *Receiver) Next(src []byte) (ev Event, n int, err error) {
	// The usual case: a whole message in one masked frame of less than 64 KiB, with nothing else under way. len(src)
	// and the two forms of the length are looked at once; next does the same for everything, step by step.
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
			(size <= c.MaxMessage || c.MaxMessage <= 0 && uint64(size) <= c.maxMessage()) &&
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

func (s *Receiver) next(src []byte) (ev Event, n int, err error) {
	if s.state&lentOut != 0 {
		s.takeBack()
	}
	for s.state&finished == 0 {
		if s.state&inFrame == 0 {
			if len(src)-n < 2 {
				return Event{}, n, nil
			}
			h, k, err := ParseHeader(src[n:])
			if broken := CheckHeader(h, State{Receiver: s.config.Role, InMessage: s.opcode != 0, Deflate: s.state&deflating != 0}); broken != nil {
				err = broken // before the length is looked at, and even before there is one
			}
			switch {
			case err != nil:
				return s.fail(src, err)
			case k == 0:
				return Event{}, n, nil
			case h.Opcode.IsControl():
				if uint64(len(src)-n-k) < h.Length {
					return Event{}, n, nil
				}
				return s.control(h, src, n+k)
			}
			if err := s.begin(h); err != nil {
				return s.fail(src, err)
			}
			n += k
		}
		size := int(min(s.left, uint64(len(src)-n)))
		b := src[n : n+size : n+size]
		if s.config.Stream {
			ev, size, err = s.piece(b)
		} else {
			ev, err = s.payload(b)
		}
		if err != nil {
			return s.fail(src, err)
		}
		n += size
		if ev.Kind != EventNone || n == len(src) && s.state&inFrame != 0 {
			return ev, n, nil
		}
	}
	return Event{}, len(src), nil
}

func (s *Receiver) fail(src []byte, err error) (Event, int, error) {
	s.Release()
	return Event{}, len(src), err
}

// fits says whether a message may grow by n bytes.
func (s *Receiver) fits(n uint64) bool { return s.within(n, s.config.maxMessage()) }

// mayFit says whether a frame of n bytes may belong to a message that fits. What cannot be compressed grows a little by it.
func (s *Receiver) mayFit(n uint64) bool {
	limit := s.config.maxMessage()
	if s.state&compressed != 0 && limit < math.MaxInt64 {
		limit += limit/64 + 1024
	}
	return s.within(n, limit)
}

func (s *Receiver) within(n, limit uint64) bool {
	return n <= limit && s.size() <= limit-n
}

func (s *Receiver) tooBig() error {
	return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("message over the limit of %d bytes", s.config.maxMessage())}
}

// begin takes up a data frame.
func (s *Receiver) begin(h Header) error {
	if h.Opcode != Continuation {
		s.opcode, s.fragments, s.text = h.Opcode, 0, UTF8{}
		if s.state &^= compressed; h.RSV&RSV1 != 0 {
			s.state |= compressed
		}
	}
	if !s.mayFit(h.Length) {
		return s.tooBig()
	}
	if most := s.config.MaxFrame; most > 0 && h.Length > uint64(most) {
		return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("frame over the limit of %d bytes", most)}
	}
	if s.fragments++; s.fragments > s.config.maxFragments() {
		return &ProtocolError{PolicyViolation, "5.4", fmt.Sprintf("message over the limit of %d fragments", s.config.maxFragments())}
	}
	s.left, s.key = h.Length, h.Key
	s.state |= inFrame
	if h.Fin {
		s.state |= lastOne
	}
	return nil
}

// payload takes the next bytes of a data frame. A message that lies in them whole is not copied.
func (s *Receiver) payload(b []byte) (Event, error) {
	packed := s.state&compressed != 0
	if !s.unmask(b, s.opcode == Text && !packed) {
		return Event{}, errUTF8
	}
	s.left -= uint64(len(b))
	whole := s.left == 0 && s.state&lastOne != 0
	if (!whole || s.message != nil) && len(b) > 0 {
		s.message = s.message.add(b, s.left)
	}
	if s.left == 0 {
		s.state &^= inFrame | lastOne
	}
	if !whole {
		return Event{}, nil
	}
	if packed {
		if err := s.inflate(b); err != nil {
			return Event{}, err
		}
		b = nil
	}
	if s.opcode == Text && !s.text.Whole() {
		return Event{}, errUTF8
	}
	if s.message != nil {
		b = s.message.b
		s.state |= lentOut
	}
	ev := Event{Kind: EventMessage, Opcode: s.opcode, Payload: b}
	s.opcode = 0
	return ev, nil
}

// unmask unmasks the next bytes of a data frame. Text it checks, too, and says whether it can still become UTF-8.
func (s *Receiver) unmask(b []byte, text bool) (valid bool) {
	valid = true
	switch {
	case text && s.config.Role == Server:
		valid = s.text.unmask(b, s.key)
	case text:
		valid = s.text.Feed(b)
	case s.config.Role == Server:
		Mask(b, s.key)
	}
	s.key = s.key.after(len(b))
	return valid
}

// control takes a whole control frame, whose payload begins at src[n].
func (s *Receiver) control(h Header, src []byte, n int) (Event, int, error) {
	end := n + int(h.Length)
	p := src[n:end:end]
	if s.config.Role == Server {
		Mask(p, h.Key)
	}
	switch h.Opcode {
	case Ping:
		return Event{Kind: EventPing, Payload: p}, end, nil
	case Pong:
		return Event{Kind: EventPong, Payload: p}, end, nil
	}
	code, reason, err := ParseClose(p)
	if err != nil {
		return s.fail(src, err)
	}
	s.Release()
	return Event{Kind: EventClose, Code: code, Payload: reason}, end, nil
}
