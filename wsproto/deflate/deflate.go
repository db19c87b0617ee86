// Package deflate is the compression of permessage-deflate (RFC 7692) for package wsproto, on klauspost/compress: raw DEFLATE
// of whole messages, with or without the window of those before.
//
// Nothing here belongs to a connection: compressors and decompressors come from pools and go back after each message. What
// a connection keeps, if it has agreed on context takeover, is a Window.
package deflate

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
)

// Tail is what a message ends with on the wire of DEFLATE and not in permessage-deflate (RFC 7692 section 7.2.1). Append leaves it
// away. What is compressed piece by piece has it behind every piece but the last.
const Tail = "\x00\x00\xff\xff"

// end is appended to what is inflated: the Tail, and an empty last block, so that the decompressor comes to an end.
const end = Tail + "\x01\x00\x00\xff\xff"

// maxRestarts is how many last blocks (BFINAL, section 7.2.3.4) a message may have: after each the decompressor has to be set
// up anew, which costs far more than the two bytes of an empty one.
const maxRestarts = 16

const step = 16 << 10

var (
	errCorrupt  = &wsproto.ProtocolError{Code: wsproto.InvalidPayload, Section: "7.2.2 of RFC 7692", Text: "compressed data is corrupt"}
	errRestarts = &wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.2.3.4 of RFC 7692",
		Text: fmt.Sprintf("compressed message over the limit of %d last blocks", maxRestarts)}
)

// Inflater implements wsproto.Inflater. The zero value is ready to use, by any goroutines at the same time.
type Inflater struct{}

// inflating is a decompressor and what it works with.
type inflating struct {
	r    io.ReadCloser
	in   source
	buf  [step]byte
	dict []byte
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflating)
	f.r = flate.NewReader(&f.in)
	return f
}}

// source reads a message, then end. It gives single bytes, so that the decompressor takes no more than it needs.
type source struct {
	b    []byte
	over int          // bytes of end that were read
	more func() error // gets more into b, io.EOF if there is none; nil: there is none
}

// fill says whether b has something.
func (s *source) fill() (bool, error) {
	for len(s.b) == 0 {
		if s.more == nil || s.over > 0 {
			return false, nil
		}
		if err := s.more(); err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *source) ReadByte() (byte, error) {
	if len(s.b) == 0 {
		if ok, err := s.fill(); err != nil {
			return 0, err
		} else if !ok {
			return s.endByte()
		}
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c, nil
}

func (s *source) endByte() (byte, error) {
	if s.over == len(end) {
		return 0, io.EOF
	}
	s.over++
	return end[s.over-1], nil
}

// cut says that a last block of the message came to its end by bytes of end: some of its own are missing.
func (s *source) cut() bool { return s.over > 0 && s.over < len(end) }

func (s *source) Read(p []byte) (int, error) {
	if ok, err := s.fill(); err != nil {
		return 0, err
	} else if ok {
		n := copy(p, s.b)
		s.b = s.b[n:]
		return n, nil
	}
	n := copy(p, end[s.over:])
	if s.over += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Inflate implements wsproto.Inflater.
func (Inflater) Inflate(src, window []byte, to wsproto.InflateSink) error {
	f := inflaters.Get().(*inflating)
	defer func() {
		f.in = source{}
		inflaters.Put(f)
	}()
	f.in = source{b: src}
	if err := f.r.(flate.Resetter).Reset(&f.in, window); err != nil {
		return err
	}
	for restarts := 0; ; {
		n, err := f.r.Read(f.buf[:])
		if n > 0 {
			if err := to.Inflated(f.buf[:n], len(src)-len(f.in.b)); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || f.in.cut():
			return errCorrupt
		case len(f.in.b) == 0:
			return nil
		default: // a last block in the middle of the message: go on behind it, with the window as it is now
			if restarts++; restarts > maxRestarts {
				return errRestarts
			}
			f.dict = appendWindow(f.dict[:0], window, to.Output(), 1<<wsproto.MaxWindowBits)
			if err := f.r.(flate.Resetter).Reset(&f.in, f.dict); err != nil {
				return err
			}
		}
	}
}

// appendWindow appends the last size bytes of a and b together.
func appendWindow(dst, a, b []byte, size int) []byte {
	if len(b) < size {
		dst = append(dst, a[max(0, len(a)+len(b)-size):]...)
	}
	return append(dst, b[max(0, len(b)-size):]...)
}

// deflating is a compressor and where it writes.
type deflating struct {
	w   *flate.Writer
	out []byte
}

func (d *deflating) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflaters are the pools of compressors, by level; those of smaller windows, which have no level, by their bits.
var deflaters [10 + wsproto.MaxWindowBits]sync.Pool

func pool(level int, bits uint8) (*sync.Pool, error) {
	switch {
	case level < 1 || level > 9:
		return nil, fmt.Errorf("deflate: level %d: want 1 to 9", level)
	case bits < 8 || bits > wsproto.MaxWindowBits:
		return nil, fmt.Errorf("deflate: window of %d bits: want 8 to 15 (RFC 7692 section 7.1.2)", bits)
	case bits < wsproto.MaxWindowBits:
		return &deflaters[10+bits], nil
	}
	return &deflaters[level], nil
}

// Append compresses a message, with the window of those before, and appends it to dst as permessage-deflate has it on the
// wire (RFC 7692 section 7.2.1). level is 1 (fast) to 9 (small); with bits below 15 there is one level only.
func Append(dst, message, window []byte, level int, bits uint8) ([]byte, error) {
	p, err := pool(level, bits)
	if err != nil {
		return dst, err
	}
	d, _ := p.Get().(*deflating)
	if d == nil {
		d = new(deflating)
		if bits < wsproto.MaxWindowBits {
			d.w, err = flate.NewWriterWindow(d, 1<<bits)
		} else {
			d.w, err = flate.NewWriter(d, level)
		}
		if err != nil {
			return dst, err
		}
	}
	d.out = dst
	d.w.ResetDict(d, window) // not Reset, which would go back to the window of the last ResetDict
	_, err = d.w.Write(message)
	if err == nil {
		err = d.w.Flush()
	}
	out := d.out
	d.out = nil
	p.Put(d)
	if err != nil {
		return dst, err
	}
	return out[:len(out)-len(Tail)], nil
}
