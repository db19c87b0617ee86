package wsproto

import "errors"

// ratioFree is the size in bytes below which no ratio is too large: text that repeats itself is not
// an attack.
const ratioFree = 4 << 20

// errLarge: what a Receiver that streams has tried to put together is more than MaxWhole.
var errLarge = errors.New("wsproto: larger than MaxWhole")

// inflate puts the message that b is, or that ends with b and is in s.message, inflated into s.message.
func (s *Receiver) inflate(b []byte) error {
	packed := s.message
	if s.message = nil; packed != nil {
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

// inflated is a Receiver that takes an inflated message: the limits hold at each step, and text is checked as it comes.
type inflated Receiver

// Inflated implements compress.Sink.
func (i *inflated) Inflated(b []byte, taken int) error {
	s := (*Receiver)(i)
	if !s.fits(uint64(len(b))) {
		return s.tooBig()
	}
	if s.config.Stream && len(i.Output())+len(b) > s.config.maxWhole() {
		return errLarge
	}
	if ratio := s.config.Compressor.MaxRatio(); overRatio(uint64(len(i.Output())+len(b)), uint64(taken), ratio) {
		return errRatio(ratio)
	}
	if s.opcode == Text && !s.text.Feed(b) {
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
