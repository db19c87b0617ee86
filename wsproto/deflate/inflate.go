package deflate

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// end is appended to a message before it is inflated: the compress.Tail, and an empty last block,
// which ends the decompressor.
const end = compress.Tail + "\x01\x00\x00\xff\xff"

// maxRestarts is how many last blocks (BFINAL, section 7.2.3.4) a message may have. After each of
// them the decompressor must be set up anew, which costs far more than the two bytes of an empty
// one.
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

// forgetting is a message after which nothing is left of the codes of the one before. Otherwise a
// block that has no code for distances, and refers back all the same, would find them: the
// decompressor keeps its tables. It is one block with one code for distances and none for literals,
// where the decompressor gives up.
var forgetting = []byte("\x05\xc0\x81\x00\x00\x00\x00\x00\x90\xff\x6c")

// mayBeFixed is the size in bytes above which a compressed message is taken to have codes of its
// own, even if its first block has none. To forget them takes 1.5 us.
const mayBeFixed = 256

// inflating is a decompressor with its buffers.
type inflating struct {
	r      io.ReadCloser
	br     *bufio.Reader // read by r, which is fastest with a bufio.Reader
	in     source        // read by br
	to     compress.Sink
	failed error // of to
	coded  bool  // the message may have had codes of its own
	buf    [step]byte
	dict   []byte
}

// inflaters has decompressors that are not in use.
var inflaters = sync.Pool{New: func() any {
	f := new(inflating)
	f.br = bufio.NewReaderSize(&f.in, readAhead)
	f.r = flate.NewReader(f.br)
	f.forget() // so that all are alike
	return f
}}

// begin prepares the decompressor for a message.
func (f *inflating) begin(in source, window []byte) error {
	f.in = in
	f.br.Reset(&f.in)
	return f.r.(flate.Resetter).Reset(f.br, window)
}

// unread takes back the input that the decompressor has not used.
func (f *inflating) unread() {
	f.in.unread(f.br.Buffered())
	f.br.Reset(&f.in)
}

// hasCodes reports whether a message may have blocks with codes of their own. Those that peers send
// have them in the first block or are large.
func hasCodes(src []byte) bool {
	const own = 2 // BTYPE, RFC 1951 section 3.2.3
	return len(src) > mayBeFixed || len(src) > 0 && src[0]>>1&3 == own
}

// forget inflates forgetting.
func (f *inflating) forget() {
	f.begin(source{b: forgetting, over: len(end)}, nil)
	f.r.Read(nil) // which fails
}

// release puts the decompressor back into the pool.
func (f *inflating) release() {
	if f.coded {
		f.forget()
	}
	f.in, f.to, f.failed = source{}, nil, nil
	f.br.Reset(nil)
	inflaters.Put(f)
}

// Write implements io.Writer, for the decompressor.
func (f *inflating) Write(b []byte) (int, error) {
	f.failed = f.to.Inflated(b, f.in.read-max(f.br.Buffered()-f.in.over, 0))
	return len(b), f.failed
}

// source is an io.Reader of a message, followed by end.
type source struct {
	b    []byte
	read int          // bytes of b that were read
	over int          // bytes of end that were read
	more func() error // puts more into b, or returns io.EOF; nil: there is no more
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
	s.read += n
	if n == 0 || s.more == nil && n < len(p) {
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

// cut reports whether a last block of the message ended with bytes of end, so that some of its own
// are missing.
func (s *source) cut() bool { return s.over > 0 && s.over < len(end) }

// Inflate implements compress.Compressor.
func (compressor) Inflate(src, window []byte, to compress.Sink) error {
	f := inflaters.Get().(*inflating)
	defer f.release()
	f.to, f.coded = to, hasCodes(src)
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
		// A last block in the middle of the message: continue behind it, with the window as it is
		// now.
		restarts++
		if restarts > maxRestarts {
			return errRestarts
		}
		f.dict = appendWindow(f.dict[:0], window, to.Output(), 1<<wsproto.MaxWindowBits)
		if err := f.r.(flate.Resetter).Reset(f.br, f.dict); err != nil {
			return err
		}
	}
}

// appendWindow appends the last size bytes of a followed by b to dst.
func appendWindow(dst, a, b []byte, size int) []byte {
	if len(b) < size {
		dst = append(dst, a[max(0, len(a)+len(b)-size):]...)
	}
	return append(dst, b[max(0, len(b)-size):]...)
}
