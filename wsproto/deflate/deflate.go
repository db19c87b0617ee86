package deflate

import (
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// compressor implements compress.Compressor. Its Compression has all defaults.
type compressor struct{ Compression }

// New returns the Compressor that a wsproto.Config needs. Any number of Configs may share it.
func New(c Compression) wsproto.Compressor { return compressor{c.withDefaults()} }

// Threshold implements compress.Compressor.
func (c compressor) Threshold() int { return c.Compression.Threshold }

// MaxRatio implements compress.Compressor.
func (c compressor) MaxRatio() uint64 {
	if c.Compression.MaxRatio < 0 {
		return math.MaxUint64
	}
	return uint64(c.Compression.MaxRatio)
}

// deflating is a compressor that appends to out.
type deflating struct {
	w   *flate.Writer
	out []byte
}

// Write implements io.Writer, for the compressor.
func (d *deflating) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflaters has pools of compressors, by level, and of those with smaller windows, which have no
// level, by their bits.
var deflaters [10 + wsproto.MaxWindowBits]sync.Pool

// Append implements compress.Compressor. With bits below 15 there is one level only.
func (c compressor) Append(dst, message, window []byte, bits uint8) []byte {
	if bits < 8 || bits > wsproto.MaxWindowBits {
		panic(fmt.Sprintf("deflate: window of %d bits: want 8 to 15 (RFC 7692 section 7.1.2)", bits))
	}
	pool := &deflaters[c.Level]
	if bits < wsproto.MaxWindowBits {
		pool = &deflaters[10+bits]
	}
	d, _ := pool.Get().(*deflating)
	if d == nil {
		d = newDeflating(c.Level, bits)
	}
	d.out = dst
	d.w.ResetDict(d, window) // not Reset, which would go back to the window of the last ResetDict
	d.w.Write(message)       // to memory: it cannot fail
	d.w.Flush()
	out := d.out
	d.out = nil
	pool.Put(d)
	return out[:len(out)-len(compress.Tail)]
}

// newDeflating returns a compressor.
func newDeflating(level int, bits uint8) *deflating {
	d := new(deflating)
	var err error
	if bits < wsproto.MaxWindowBits {
		d.w, err = flate.NewWriterWindow(d, 1<<bits)
	} else {
		d.w, err = flate.NewWriter(d, level)
	}
	if err != nil {
		panic(fmt.Sprintf("deflate: level %d, window of %d bits: %v", level, bits, err))
	}
	return d
}
