package wsproto

import "errors"

// ratioFree is the size in bytes below which no ratio is too large: text that repeats itself is not
// an attack.
const ratioFree = 4 << 20

// errLarge means that a Receiver which streams has tried to put together more than MaxWhole, or
// that one which inflates in steps has tried to do it by one.
var errLarge = errors.New("wsproto: larger than MaxWhole")

// inflate inflates the message that ends with b into s.message, which has its beginning if that
// arrived before. done is false after a step of a message that needs more.
func (s *Receiver) inflate(b []byte) (done bool, err error) {
	packed := s.message
	s.message = nil
	if packed != nil {
		b = packed.b
	}
	if s.stepped() && len(b) > flowStep { // the first step comes later: many may arrive at once
		s.beginSteps(packed, b)
		return false, nil
	}
	text := s.text
	err = s.config.Compressor.Inflate(b, s.before(), (*inflated)(s))
	if err == errLarge && s.stepped() { // begin anew
		s.drop()
		s.text = text
		s.beginSteps(packed, b)
		return false, nil
	}
	if packed != nil {
		putBuffer(packed)
	}
	if err == nil && s.window != nil && s.message != nil {
		s.window.add(s.message.b)
	}
	return true, err
}

// stepped reports whether messages are inflated in steps. Those that are delivered in pieces are
// anyway.
func (s *Receiver) stepped() bool { return s.config.InflateStep > 0 && !s.config.Stream }

// inSteps reports whether a message that has arrived whole is inflated in steps.
func (s *Receiver) inSteps() bool { return s.state&inflating != 0 && !s.config.Stream }

// before returns what the next compressed message may refer to.
func (s *Receiver) before() []byte {
	if s.window == nil {
		return nil
	}
	return s.window.bytes()
}

// beginSteps makes s.message a message that is inflated from b in steps. b is in packed, if that is
// not nil.
func (s *Receiver) beginSteps(packed *buffer, b []byte) {
	if packed == nil {
		packed = packed.add(b, 0)
	}
	m := streams.Get().(*buffer)
	m.held, m.flow = packed, s.config.Compressor.Stream(s.before())
	s.message = m
	s.state |= inflating
}

// inflateStep inflates InflateStep bytes, or what flowStep bytes are inflated to if that is less:
// an attacker can make each byte expensive.
func (s *Receiver) inflateStep() (done bool, err error) {
	for goal, taken := s.size()+uint64(s.config.InflateStep), 0; ; {
		m := s.message
		src := m.held.b[m.taken:]
		src = src[:min(len(src), flowStep-taken)]
		last := m.taken+uint64(len(src)) == uint64(len(m.held.b))
		n, out, err := m.flow.Next(src, last)
		m.taken += uint64(n)
		taken += n
		if err == nil {
			err = (*inflated)(s).Inflated(out, int(m.taken))
		}
		switch {
		case err != nil:
			return true, err
		case last && n == len(src):
			s.inflatedAll()
			return true, nil
		case s.size() >= goal || taken == flowStep:
			return false, nil
		}
	}
}

// inflatedAll ends the steps. The message has a buffer of its own then.
func (s *Receiver) inflatedAll() {
	s.state &^= inflating
	m := s.message
	m.end()
	if len(m.b) == 0 {
		s.drop()
	} else if s.window != nil {
		s.window.add(m.b)
	}
}

// inflated is a Receiver as a compress.Sink. It checks the limits at each step, and text as it
// comes.
type inflated Receiver

// Inflated implements compress.Sink.
func (i *inflated) Inflated(b []byte, taken int) error {
	s := (*Receiver)(i)
	if !s.fits(uint64(len(b))) {
		return s.tooBig()
	}
	size := len(i.Output()) + len(b)
	if s.config.Stream && size > s.config.maxWhole() || s.atOnce() && size > s.config.InflateStep {
		return errLarge
	}
	if ratio := s.config.Compressor.MaxRatio(); overRatio(uint64(size), uint64(taken), ratio) {
		return errRatio(ratio)
	}
	if s.opcode == Text && !s.text.feed(b) {
		return errUTF8
	}
	s.message = s.message.add(b, 0)
	return nil
}

// atOnce reports whether the message must be inflated by one step.
func (s *Receiver) atOnce() bool { return s.stepped() && s.state&inflating == 0 }

// Output implements compress.Sink.
func (i *inflated) Output() []byte {
	if i.message == nil {
		return nil
	}
	return i.message.b
}
