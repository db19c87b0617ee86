package wsproto

import "errors"

// ratioFree is the size in bytes below which no ratio is too large: text that repeats itself is not
// an attack.
const ratioFree = 4 << 20

// errLarge means that a Receiver which streams has tried to put together more than MaxWhole.
var errLarge = errors.New("wsproto: larger than MaxWhole")

// inflate inflates the message that ends with b into s.message, which has its beginning if that
// arrived before.
func (s *Receiver) inflate(b []byte) error {
	packed := s.message
	s.message = nil
	if packed != nil {
		b = packed.b
		defer putBuffer(packed)
	}
	var before []byte
	if s.window != nil {
		before = s.window.Bytes()
	}
	err := s.config.Compressor.Inflate(b, before, (*inflated)(s))
	if err == nil && s.window != nil && s.message != nil {
		s.window.Add(s.message.b)
	}
	return err
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
	if s.config.Stream && size > s.config.maxWhole() {
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

// Output implements compress.Sink.
func (i *inflated) Output() []byte {
	if i.message == nil {
		return nil
	}
	return i.message.b
}
