// Package deflate is the compression of permessage-deflate (RFC 7692) for package wsproto, on
// klauspost/compress: raw DEFLATE of whole messages, with or without the window of those before.
//
// Nothing here belongs to a connection: compressors and decompressors come from pools and go back
// after each message. What a connection keeps, if it has agreed on context takeover, is a Window.
package deflate

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Tail is what a message ends with on the wire of DEFLATE and not in permessage-deflate (RFC 7692
// section 7.2.1). Append leaves it away. What is compressed piece by piece has it behind every
// piece but the last.
const Tail = compress.Tail

// end is appended to what is inflated: the Tail, and an empty last block, so that the decompressor
// comes to an end.
const end = Tail + "\x01\x00\x00\xff\xff"

// maxRestarts is how many last blocks (BFINAL, section 7.2.3.4) a message may have: after each the
// decompressor has to be set up anew, which costs far more than the two bytes of an empty one.
const maxRestarts = 16

const (
	readAhead = 4 << 10  // bytes of input that a decompressor gets at a time
	step      = 16 << 10 // bytes of output that a stream takes at a time
)

var (
	errCorrupt = &wsproto.ProtocolError{Code: wsproto.InvalidPayload, Section: "7.2.2 of RFC 7692",
		Text: "compressed data is corrupt"}
	errRestarts = &wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.2.3.4 of RFC 7692",
		Text: fmt.Sprintf("compressed message over the limit of %d last blocks", maxRestarts)}
)

// compressor implements compress.Compressor. Its Compression has all defaults.
type compressor struct{ Compression }

// New returns what a wsproto.Config needs to compress and inflate messages. Any number of Configs
// may share it.
func New(c Compression) wsproto.Compressor { return compressor{c.WithDefaults()} }

func (c compressor) Threshold() int { return c.Compression.Threshold }

func (c compressor) MaxRatio() uint64 {
	if c.Compression.MaxRatio < 0 {
		return math.MaxUint64
	}
	return uint64(c.Compression.MaxRatio)
}

// Append implements compress.Compressor. It cannot fail, since it writes to memory.
func (c compressor) Append(dst, message, window []byte, bits uint8) []byte {
	out, err := Append(dst, message, window, c.Level, bits)
	if err != nil {
		panic(err)
	}
	return out
}

// inflating is a decompressor and what it works with.
type inflating struct {
	r      io.ReadCloser
	br     *bufio.Reader // what r reads: it has a loop of its own for these, which is the fastest
	in     source        // what br reads
	to     compress.Sink
	failed error // of to
	buf    [step]byte
	dict   []byte
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflating)
	f.br = bufio.NewReaderSize(&f.in, readAhead)
	f.r = flate.NewReader(f.br)
	return f
}}

// begin sets everything up for a message.
func (f *inflating) begin(in source, window []byte) error {
	f.in = in
	f.br.Reset(&f.in)
	return f.r.(flate.Resetter).Reset(f.br, window)
}

// unread takes back what the decompressor has not needed.
func (f *inflating) unread() {
	f.in.unread(f.br.Buffered())
	f.br.Reset(&f.in)
}

func (f *inflating) release() {
	f.in, f.to, f.failed = source{}, nil, nil
	f.br.Reset(nil)
	inflaters.Put(f)
}

// Write implements io.Writer, for the decompressor.
func (f *inflating) Write(b []byte) (int, error) {
	f.failed = f.to.Inflated(b, f.in.read-max(f.br.Buffered()-f.in.over, 0))
	return len(b), f.failed
}

// source reads a message, then end.
type source struct {
	b    []byte
	read int          // bytes of b that were read
	over int          // bytes of end that were read
	more func() error // gets more into b, io.EOF if there is none; nil: there is none
}

func (s *source) Read(p []byte) (n int, err error) {
	for s.read == len(s.b) && s.more != nil && s.over == 0 {
		if err := s.more(); err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
	}
	n = copy(p, s.b[s.read:])
	if s.read += n; n == 0 || s.more == nil && n < len(p) {
		k := copy(p[n:], end[s.over:])
		s.over += k
		n += k
	}
	if n == 0 {
		err = io.EOF
	}
	return n, err
}

// unread takes back the last n bytes.
func (s *source) unread(n int) {
	k := min(n, s.over)
	s.over -= k
	s.read -= n - k
}

// cut says that a last block of the message came to its end by bytes of end: some of its own are
// missing.
func (s *source) cut() bool { return s.over > 0 && s.over < len(end) }

// Inflate implements compress.Compressor.
func (compressor) Inflate(src, window []byte, to compress.Sink) error {
	f := inflaters.Get().(*inflating)
	defer f.release()
	f.to = to
	if err := f.begin(source{b: src}, window); err != nil {
		return err
	}
	for restarts := 0; ; {
		_, err := f.r.(io.WriterTo).WriteTo(f)
		f.unread()
		switch {
		case f.failed != nil:
			return f.failed
		case err != nil || f.in.cut():
			return errCorrupt
		case f.in.read == len(src):
			return nil
		}
		// A last block in the middle of the message: go on behind it, with the window as it is now.
		if restarts++; restarts > maxRestarts {
			return errRestarts
		}
		f.dict = appendWindow(f.dict[:0], window, to.Output(), 1<<wsproto.MaxWindowBits)
		if err := f.r.(flate.Resetter).Reset(f.br, f.dict); err != nil {
			return err
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

// deflaters are the pools of compressors, by level; those of smaller windows, which have no level,
// by their bits.
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

// Append compresses a message, with the window of those before, and appends it to dst as
// permessage-deflate has it on the wire (RFC 7692 section 7.2.1). level is 1 (fast) to 9 (small);
// with bits below 15 there is one level only.
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
