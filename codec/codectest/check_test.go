package codectest_test

import (
	"bytes"
	"errors"
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
	line, long := codec.Line{}, codec.Delimiter{Sequence: "\r\n--end--\r\n"}
	for _, test := range []struct {
		name  string
		codec codec.Codec
		want  string
	}{
		{name: "copies the message", codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			return bytes.Clone(msg), n, next, err
		}}, want: "not a part of src"},
		{name: "searches from the beginning", codec: fault{decode: func(src []byte, _ int) ([]byte, int, int, error) {
			msg, n, _, err := line.Decode(src, 0)
			return msg, n, 0, err
		}}, want: "searches again"},
		{name: "searches from the middle",
			codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
				msg, n, next, err := line.Decode(src, scanned)
				return msg, n, next / 2, err
			}}, want: "searches again"},
		{name: "searches from the beginning for many bytes", codec: fault{
			decode: func(src []byte, _ int) ([]byte, int, int, error) {
				msg, n, _, err := long.Decode(src, 0)
				return msg, n, 0, err
			}, append: long.Append,
		}, want: "searches again"},
		{name: "takes too much", codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			if n > 0 {
				n++
			}
			return msg, n, next, err
		}}, want: "takes"},
		{name: "skips what is not there", codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			msg, n, next, err := line.Decode(src, scanned)
			if n == 0 {
				next = len(src) + 1
			}
			return msg, n, next, err
		}}, want: "as next"},
		{name: "misses an end at a split",
			codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
				if scanned > 0 && src[scanned] == '\n' {
					return nil, 0, len(src), nil
				}
				return line.Decode(src, scanned)
			}}, want: "split at byte"},
		{name: "loses a byte", codec: fault{append: func(dst, msg []byte) ([]byte, error) {
			return line.Append(dst, msg[:max(0, len(msg)-1)])
		}}, want: "comes back"},
		{name: "forgets other frames", codec: fault{append: func(_, msg []byte) ([]byte, error) {
			return line.Append(nil, msg)
		}}, want: "what was in dst"},
		{name: "panics", codec: fault{decode: func(src []byte, scanned int) ([]byte, int, int, error) {
			if bytes.IndexByte(src, 0xF0) >= 0 {
				panic("0xF0")
			}
			return line.Decode(src, scanned)
		}}, want: "panic of Decode"},
	} {
		err := codectest.Check(test.codec, []byte("hello"), []byte(strings.Repeat("long ", 500)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if codectest.Check(line) == nil {
		t.Error("a check without messages passes")
	}
}

func TestBrokenLimitsFail(t *testing.T) {
	ten := codec.Line{Max: 10}
	for _, test := range []struct {
		name  string
		codec codec.Codec
	}{
		{name: "too high", codec: codec.Line{Max: 11}},
		{name: "too low", codec: codec.Line{Max: 9}},
		{name: "of another number", codec: fault{Line: ten, append: func(dst, msg []byte) ([]byte, error) {
			if len(msg) > 10 {
				return nil, &codec.LimitError{Limit: 9}
			}
			return ten.Append(dst, msg)
		}}},
		{name: "missing in Append", codec: fault{Line: ten, append: codec.Line{}.Append}},
		{name: "missing in Decode", codec: fault{Line: ten, decode: codec.Line{}.Decode}},
		{name: "kept when all has arrived",
			codec: fault{Line: ten, decode: func(src []byte, _ int) ([]byte, int, int, error) {
				msg, n, next, err := codec.Line{}.Decode(src, 0)
				if len(msg) > 10 {
					return nil, 0, 0, errors.New("too long")
				}
				return msg, n, next, err
			}}},
	} {
		if codectest.CheckLimit(test.codec, codec.Line{}, 10, 'x') == nil {
			t.Errorf("a limit that is %s passes", test.name)
		}
	}
	if err := codectest.CheckLimit(ten, codec.Line{}, 10, 'x'); err != nil {
		t.Error(err)
	}
}

// TestNaturalCodecs passes codecs as users write them, who need not care about scanned.
func TestNaturalCodecs(t *testing.T) {
	header := lengthCodec{max: 5000}
	for _, test := range []struct {
		name  string
		codec codec.Codec
	}{
		{name: "length in a header", codec: header},
		{name: "next goes back",
			codec: fault{append: header.Append, decode: func(src []byte, scanned int) ([]byte, int, int, error) {
				msg, n, next, err := header.Decode(src, scanned)
				if n == 0 && len(src) < 4 {
					next = len(src)
				}
				return msg, n, next, err
			}}},
		{name: "fixed size", codec: codec.Fixed{Size: 3000}},
	} {
		message := bytes.Repeat([]byte("0123456789"), 300)
		if err := codectest.Check(test.codec, message, message); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for _, larger := range []codec.Codec{nil, lengthCodec{max: 1 << 20}} {
		if err := codectest.CheckLimit(header, larger, 5000, 'x'); err != nil {
			t.Error(err)
		}
	}
}

// TestLargeLimit: a limit of a MiB, which is usual, took half an hour to check.
func TestLargeLimit(t *testing.T) {
	const limit = 1 << 20
	calls := 0
	counted := fault{Line: codec.Line{Max: limit}}
	counted.decode = func(src []byte, scanned int) ([]byte, int, int, error) {
		if calls++; calls > 10_000 {
			return nil, 0, 0, errors.New("too many calls")
		}
		return counted.Line.Decode(src, scanned)
	}
	if err := codectest.CheckLimit(counted, codec.Line{Max: 4 * limit}, limit, 'x'); err != nil || calls > 10_000 {
		t.Errorf("%d calls of Decode, error %v", calls, err)
	}
}
