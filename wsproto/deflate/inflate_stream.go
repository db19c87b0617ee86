package deflate

import (
	"errors"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Stream implements compress.Compressor. A decompressor reads its input by itself, and cannot be
// told to come back later. So it runs on a goroutine of its own, which waits where the input ends,
// and goes on when there is more.
func (compressor) Stream(window []byte) compress.Flow {
	f := &inflow{inflating: inflaters.Get().(*inflating)}
	f.dict, f.coded = append(f.dict[:0], window...), true
	f.pump = newPump(f.run)
	return f
}

// inflow inflates a message that arrives piece by piece.
type inflow struct {
	*inflating
	pump *pump // its next piece is empty if it needs more input
	last bool  // the message ends with in.b
	out  []byte
	err  error
}

// Next implements compress.Flow.
func (f *inflow) Next(src []byte, last bool) (n int, piece []byte, err error) {
	f.in.b, f.in.read, f.last = src, 0, last
	f.out = f.out[:0]
	for {
		piece, ok := f.pump.next()
		n = f.in.read
		switch {
		case f.err != nil:
			return n, nil, f.err
		case !ok || len(piece) == 0: // the end, or all of src is taken
			return n, f.out, nil
		case n < len(src) || !last:
			f.note(piece)
			return n, piece, nil
		}
		// What follows the last byte of input is less than a window and a few repetitions. It is
		// returned as one piece, and nothing refers to it.
		f.out = append(f.out, piece...)
	}
}

// note moves the window on, for the next decompressor if there is a last block in the middle of the
// message.
func (f *inflow) note(piece []byte) {
	const size = 1 << wsproto.MaxWindowBits
	if over := len(f.dict) + len(piece) - size; over > 0 {
		f.dict = f.dict[:copy(f.dict, f.dict[min(over, len(f.dict)):])]
	}
	f.dict = append(f.dict, piece[max(0, len(piece)-size):]...)
}

// Release implements compress.Flow.
func (f *inflow) Release() {
	f.pump.stop()
	f.release()
	f.inflating = nil
}

// errStopped ends the goroutine of a message that is not inflated to its end.
var errStopped = errors.New("deflate: released")

// run is what the goroutine does: it yields pieces, and empty ones when it needs more input.
func (f *inflow) run(yield func([]byte) bool) {
	in := source{b: f.in.b, more: func() error {
		if f.last {
			return io.EOF
		}
		if !yield(nil) {
			return errStopped
		}
		return nil
	}}
	if f.err = f.begin(in, f.dict); f.err != nil {
		return
	}
	for restarts := 0; ; {
		var err error
		for err == nil {
			var n int
			n, err = f.r.Read(f.buf[:])
			f.unread()
			if n > 0 && !yield(f.buf[:n]) {
				return
			}
		}
		switch {
		case !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || f.in.cut():
			f.err = errCorrupt
			return
		case f.in.over > 0 || f.in.read == len(f.in.b) && f.last:
			return
		}
		restarts++
		if restarts > maxRestarts {
			f.err = errRestarts
			return
		}
		if f.err = f.r.(flate.Resetter).Reset(f.br, f.dict); f.err != nil {
			return
		}
	}
}
