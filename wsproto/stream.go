package wsproto

import "fmt"

// flowStep is how much of a compressed message is inflated at a time.
const flowStep = 4 << 10

// piece is payload for a Session that streams: it delivers the next bytes of a data frame, and returns how many it took.
func (s *Session) piece(b []byte) (ev Event, n int, err error) {
	ends := s.state&lastOne != 0 && s.left == uint64(len(b))
	if s.message == nil && (!ends || s.state&compressed != 0) {
		s.message = streams.Get().(*buffer)
	}
	n, out, text, valid := len(b), b, s.opcode == Text, true
	if s.state&compressed == 0 {
		valid = s.unmask(b, text)
	} else if n, out, err = s.flow(b); err == nil {
		ends = ends && n == len(b)
		valid = !text || s.text.Feed(out)
	}
	if err == nil && (!valid || ends && text && !s.text.Whole()) {
		err = errUTF8
	}
	if err != nil {
		return Event{}, 0, err
	}
	if s.message != nil {
		s.message.taken += uint64(n)
		s.message.given += uint64(len(out))
	}
	if s.left -= uint64(n); s.left == 0 {
		s.state &^= inFrame | lastOne
	}
	if !ends && len(out) == 0 {
		return Event{}, n, nil
	}
	ev = Event{Kind: EventPiece, Opcode: s.opcode, Payload: out}
	if ends {
		ev.Kind = EventMessage
		s.opcode = 0
		s.state |= lentOut // the last piece may be the Inflow's
	}
	return ev, n, nil
}

// flow inflates the next bytes. Those that it does not take now are masked again, since they will come again.
func (s *Session) flow(b []byte) (n int, out []byte, err error) {
	last := s.state&lastOne != 0 && s.left == uint64(len(b)) && len(b) <= flowStep
	b = b[:min(len(b), flowStep)]
	if s.config.Role == Server {
		Mask(b, s.key)
	}
	m := s.message
	if m.flow == nil {
		var before []byte
		if s.window != nil {
			before = s.window.Bytes()
		}
		m.flow = s.config.Inflater.Stream(before)
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
	if ratio := s.config.ratio(); overRatio(m.given+uint64(len(out)), m.taken+uint64(n), ratio) {
		return 0, nil, errRatio(ratio)
	}
	if s.window != nil {
		s.window.Add(out)
	}
	return n, out, nil
}

func overRatio(size, packed, ratio uint64) bool { return size > ratioFree && size/ratio > packed }

func errRatio(ratio uint64) error {
	return &ProtocolError{MessageTooBig, "7.4.1", fmt.Sprintf("message over the limit of %d times its compressed size", ratio)}
}
