package deflate

import (
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Tail ends a message of DEFLATE that is flushed. permessage-deflate leaves it out at the end of a
// message, but not behind the other pieces of one (RFC 7692 section 7.2.1).
const Tail = compress.Tail

// compressor implements compress.Compressor. Its Compression has all defaults.
type compressor struct{ Compression }

// New returns the Compressor that a wsproto.Config needs. Any number of Configs may share it.
func New(c Compression) wsproto.Compressor { return compressor{c.WithDefaults()} }

// Threshold implements compress.Compressor.
func (c compressor) Threshold() int { return c.Compression.Threshold }

// MaxRatio implements compress.Compressor.
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

// pool returns the pool of compressors for a level and a size of window.
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

// Append compresses a message and appends it to dst as it is on the wire (RFC 7692 section 7.2.1).
// It may refer to window, the end of the messages before. level is 1 (fast) to 9 (small); with bits
// below 15 there is one level only.
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
