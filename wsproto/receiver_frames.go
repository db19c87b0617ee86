package wsproto

import (
	"fmt"
	"math"
)

// next is Next for every case.
func (s *Receiver) next(src []byte) (ev Event, n int, err error) {
	if s.state&lentOut != 0 {
		s.takeBack()
	}
	if s.state&inflating != 0 {
		if !s.config.Stream {
			return s.inflateOn(src)
		}
		s.state &^= inflating
	}
	for s.state&finished == 0 {
		if s.state&inFrame == 0 {
			if len(src)-n < 2 {
				return Event{}, n, nil
			}
			h, k, err := ParseHeader(src[n:])
			if broken := h.Check(s.config.Role, s.opcode != 0, s.state&deflating != 0); broken != nil {
				// the first two bytes are checked before the length, even before it has arrived
				err = broken
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
		if s.pauses(ev, n) {
			if !s.config.Stream {
				n-- // a byte stays, to be given again
			} else if n < len(src) {
				s.state |= inflating
			}
			return Event{}, n, nil
		}
		if ev.Kind != EventNone || n == len(src) && s.state&inFrame != 0 {
			return ev, n, nil
		}
	}
	return Event{}, len(src), nil
}

// fail ends the Receiver.
func (s *Receiver) fail(src []byte, err error) (Event, int, error) {
	s.Release()
	return Event{}, len(src), err
}

// size returns how many bytes of the current message have arrived, of a compressed one after
// inflating.
func (s *Receiver) size() uint64 {
	if s.message == nil {
		return 0
	}
	return s.message.given + uint64(len(s.message.b))
}

// fits reports whether a message may grow by n bytes.
func (s *Receiver) fits(n uint64) bool { return s.within(n, s.config.maxMessage()) }

// mayFit reports whether a frame of n bytes may belong to a message that fits. Data that cannot be
// compressed grows a little.
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
	return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("message over the limit of %d bytes",
		s.config.maxMessage())}
}

// admit checks the limits of sizes for n more bytes of a frame.
func (s *Receiver) admit(n uint64) error {
	if !s.mayFit(n) {
		return s.tooBig()
	}
	if limit := s.config.MaxFrame; limit > 0 && n > uint64(limit) {
		return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("frame over the limit of %d bytes", limit)}
	}
	return nil
}

// begin begins a data frame.
func (s *Receiver) begin(h Header) error {
	if h.Opcode != Continuation {
		s.opcode, s.fragments, s.text = h.Opcode, 0, textState{}
		s.state &^= compressed
		if h.RSV&RSV1 != 0 {
			s.state |= compressed
		}
	}
	if err := s.admit(h.Length); err != nil {
		return err
	}
	s.fragments++
	if limit := s.config.maxFragments(); s.fragments > limit {
		return &ProtocolError{PolicyViolation, "5.4", fmt.Sprintf("message over the limit of %d fragments", limit)}
	}
	s.left, s.key = h.Length, h.Key
	s.state |= inFrame
	if h.Fin {
		s.state |= lastOne
	}
	return nil
}

// payload takes the next bytes of a data frame. It does not copy a message that is whole in them.
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
		if done, err := s.inflate(b); !done || err != nil {
			return Event{}, err
		}
		b = nil
	}
	return s.whole(b)
}

// pauses reports whether Next returns now, after n bytes, since it has inflated enough.
func (s *Receiver) pauses(ev Event, n int) bool {
	if s.config.Stream && s.config.InflateStep > 0 && s.state&compressed != 0 {
		return ev.Kind == EventNone && n >= flowStep
	}
	return s.state&inflating != 0
}

// inflateOn is next while a message is inflated in steps. src begins with the byte that has stayed.
func (s *Receiver) inflateOn(src []byte) (ev Event, n int, err error) {
	if len(src) == 0 {
		return Event{}, 0, nil
	}
	done, err := s.inflateStep()
	if !done {
		return Event{}, 0, nil
	}
	if err == nil {
		ev, err = s.whole(nil)
	}
	if err != nil {
		return s.fail(src, err)
	}
	return ev, 1, nil
}

// whole returns the event of a message that is s.message, or b without one.
func (s *Receiver) whole(b []byte) (Event, error) {
	if s.opcode == Text && !s.text.whole() {
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

// unmask unmasks the next bytes of a data frame. It also checks text, and reports whether that can
// still become valid UTF-8.
func (s *Receiver) unmask(b []byte, text bool) (valid bool) {
	valid = true
	switch {
	case text && s.config.Role == Server:
		valid = s.text.unmask(b, s.key)
	case text:
		valid = s.text.feed(b)
	case s.config.Role == Server:
		Mask(b, s.key)
	}
	s.key = s.key.after(len(b))
	return valid
}

// control returns the event of a whole control frame, whose payload begins at src[n].
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
