package codectest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/codec/codectest"
)

// fault is codec.Line with one rule broken.
type fault struct {
	codec.Line
	decode func(src []byte, scanned int) ([]byte, int, int, error)
	append func(dst, msg []byte) ([]byte, error)
}

func (f fault) Decode(src []byte, scanned int) ([]byte, int, int, error) {
	if f.decode != nil {
		return f.decode(src, scanned)
	}
	return f.Line.Decode(src, scanned)
}

func (f fault) Append(dst, msg []byte) ([]byte, error) {
	if f.append != nil {
		return f.append(dst, msg)
	}
	return f.Line.Append(dst, msg)
}

func TestBrokenCodecsFail(t *testing.T) {
	line := codec.Line{}
	for _, c := range []struct {
		name string
		c    fault
		want string
	}{
		{"copies the message", fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			return bytes.Clone(msg), n, next, err
		}}, "does not lie in src"},
		{"scans from the beginning", fault{decode: func(src []byte, _ int) ([]byte, int, int, error) {
			msg, n, _, err := line.Decode(src, 0)
			return msg, n, 0, err
		}}, "scanned does not grow"},
		{"takes too much", fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			if n > 0 {
				n++
			}
			return msg, n, next, err
		}}, "takes"},
		{"skips what it has not looked at", fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			if n == 0 {
				next = len(src) + 1
			}
			return msg, n, next, err
		}}, "looked at"},
		{"misses an end at a split", fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			if scanned > 0 && src[scanned] == '\n' {
				return nil, 0, len(src), nil
			}
			return line.Decode(src, scanned)
		}}, "split at byte"},
		{"loses a byte", fault{append: func(dst, msg []byte) ([]byte, error) {
			return line.Append(dst, msg[:max(0, len(msg)-1)])
		}}, "comes back"},
		{"panics", fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			if bytes.IndexByte(src, 0xF0) >= 0 {
				panic("0xF0")
			}
			return line.Decode(src, scanned)
		}}, "panic of Decode"},
	} {
		err := codectest.Check(c.c, []byte("hello"), []byte(strings.Repeat("long ", 500)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if codectest.Check(line) == nil {
		t.Error("a check without messages passes")
	}
}

func TestBrokenLimitsFail(t *testing.T) {
	for name, c := range map[string]codec.Codec{
		"too generous": codec.Line{Max: 11},
		"too strict":   codec.Line{Max: 9},
		"none when decoding": fault{Line: codec.Line{Max: 10}, decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			return codec.Line{}.Decode(src, scanned)
		}},
	} {
		if codectest.CheckLimit(c, codec.Line{}, 10, 'x') == nil {
			t.Errorf("a limit that is %s passes", name)
		}
	}
	codectest.Limit(t, codec.Line{Max: 10}, codec.Line{}, 10, 'x')
}
