package wsproto

import "fmt"

// flowStep is how many bytes of a compressed message are inflated at a time.
const flowStep = 2 << 10

// piece is payload for a Receiver that streams: it takes the next bytes of a data frame, and
// returns how many that were. A message is held back as long as it may turn out to be a small one.
// The header of an unfragmented message tells, unless it is compressed.
func (s *Receiver) piece(b []byte) (ev Event, n int, err error) {
	packed, text, ends := s.state&compressed != 0, s.opcode == Text, s.state&lastOne != 0 && s.left == uint64(len(b))
	if packed && ends && s.message == nil && len(b) <= s.config.maxAttempt() {
		if ev, err = s.attempt(b); err != errLarge {
			return ev, len(b), err
		}
	}
	if s.message == nil && (!ends || packed) {
		s.message = streams.Get().(*buffer)
	}
	n, out, valid := len(b), b, true
	if !packed {
		valid = s.unmask(b, text)
	} else if n, out, err = s.flow(b); err == nil {
		ends = ends && n == len(b)
		valid = !text || s.text.feed(out)
	}
	if err == nil && (!valid || ends && text && !s.text.whole()) {
		err = errUTF8
	}
	if err != nil {
		return Event{}, 0, err
	}
	s.left -= uint64(n)
	if s.left == 0 {
		s.state &^= inFrame | lastOne
	}
	size := s.size() + uint64(len(out))
	if !packed {
		size += s.left
	}
	if size > uint64(s.config.maxWhole()) {
		s.state |= inPieces
	}
	return s.arrived(out, n, ends), n, nil
}

// maxAttempt returns the size of the largest compressed message that is inflated at once.
func (c *Config) maxAttempt() int {
	if c.InflateStep > 0 {
		return min(c.maxWhole(), flowStep)
	}
	return c.maxWhole()
}

// arrived returns the event for the next bytes of a message, out, which were made from n bytes.
func (s *Receiver) arrived(out []byte, n int, ends bool) Event {
	small := s.state&inPieces == 0
	if m := s.message; m != nil {
		m.taken += uint64(n)
		m.given += uint64(len(out))
		if small && len(out) > 0 || m.held != nil {
			out = m.hold(out)
			if !small {
				s.state |= lentOut
			}
		}
	}
	ev := Event{Kind: EventPiece, Opcode: s.opcode, Payload: out}
	switch {
	case !ends && (small || len(out) == 0):
		return Event{}
	case !ends:
		return ev
	case small:
		ev.Kind = EventMessage
	default:
		ev.Kind = EventLast
	}
	s.opcode = 0
	s.state &^= inPieces
	if s.message != nil {
		s.state |= lentOut // the last bytes may belong to the Flow
	}
	return ev
}

// attempt is payload for a compressed message that has arrived whole. It is cheaper than a Flow,
// but the result may turn out to be too large to be put together: then the error is errLarge, and
// nothing has changed.
func (s *Receiver) attempt(b []byte) (Event, error) {
	before := *s
	ev, err := s.payload(b)
	if err == errLarge {
		s.drop()
		*s = before
		if s.config.Role == Server {
			Mask(b, s.key)
		}
	}
	return ev, err
}

// flow inflates the next bytes. It masks those again that it does not take now, since they will be
// given again.
func (s *Receiver) flow(b []byte) (n int, out []byte, err error) {
	last := s.state&lastOne != 0 && s.left == uint64(len(b)) && len(b) <= flowStep
	b = b[:min(len(b), flowStep)]
	if s.config.Role == Server {
		Mask(b, s.key)
	}
	m := s.message
	if m.flow == nil {
		m.flow = s.config.Compressor.Stream(s.before())
	}
	if n, out, err = m.flow.Next(b, last); err != nil {
		return 0, nil, err
	}
	if s.config.Role == Server {
		s.key = s.key.after(n)
		Mask(b[n:], s.key)
	}
	if !s.fits(uint64(len(out))) {
		return 0, nil, s.tooBig()
	}
	if ratio := s.config.Compressor.MaxRatio(); overRatio(m.given+uint64(len(out)), m.taken+uint64(n), ratio) {
		return 0, nil, errRatio(ratio)
	}
	if s.window != nil {
		s.window.add(out)
	}
	return n, out, nil
}

// overRatio reports whether a message of size bytes is too large for the bytes that it was made
// from.
func overRatio(size, packed, ratio uint64) bool { return size > ratioFree && size/ratio > packed }

func errRatio(ratio uint64) error {
	return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("message over the limit of %d times its compressed size",
		ratio)}
}
