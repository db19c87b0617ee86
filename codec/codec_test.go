package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/codec/codectest"
)

// all are the codecs, each with a limit, and with messages that it accepts.
var all = []struct {
	name     string
	codec    codec.Codec
	limit    int         // 0: it has none
	larger   codec.Codec // the same with a higher limit, if there is one
	messages [][]byte
}{
	{
		name: "line", codec: codec.Line{Max: 300}, limit: 300, larger: codec.Line{},
		messages: [][]byte{[]byte("hello"), {}, []byte("a\rb"), bytes.Repeat([]byte("x"), 300)},
	},
	{
		name: "delimiter", codec: codec.Delimiter{Sequence: "||", Max: 300}, limit: 300,
		larger:   codec.Delimiter{Sequence: "||"},
		messages: [][]byte{[]byte("a|b"), {}, bytes.Repeat([]byte("y"), 300)},
	},
	{
		name: "length 1", codec: codec.LengthPrefix{Bytes: 1, Max: 200}, limit: 200,
		messages: [][]byte{{}, []byte("abc"), make([]byte, 200)},
	},
	{
		name: "length 2", codec: codec.LengthPrefix{Bytes: 2, Max: 300}, limit: 300,
		larger:   codec.LengthPrefix{Bytes: 2},
		messages: [][]byte{{}, []byte("abc"), make([]byte, 300)},
	},
	{
		name: "length 2, little", codec: codec.LengthPrefix{Bytes: 2, LittleEndian: true, Max: 300}, limit: 300,
		larger:   codec.LengthPrefix{Bytes: 2, LittleEndian: true},
		messages: [][]byte{[]byte("abc"), make([]byte, 256)},
	},
	{
		name: "length 4", codec: codec.LengthPrefix{Max: 300}, limit: 300, larger: codec.LengthPrefix{},
		messages: [][]byte{[]byte("abc"), {}, make([]byte, 300)},
	},
	{
		name: "length 4, little", codec: codec.LengthPrefix{LittleEndian: true, Max: 300}, limit: 300,
		larger:   codec.LengthPrefix{LittleEndian: true},
		messages: [][]byte{[]byte("abc")},
	},
	{
		name: "length 8", codec: codec.LengthPrefix{Bytes: 8, Max: 300}, limit: 300,
		larger:   codec.LengthPrefix{Bytes: 8},
		messages: [][]byte{[]byte("abc"), {}},
	},
	{
		name: "length 8, little", codec: codec.LengthPrefix{Bytes: 8, LittleEndian: true, Max: 300}, limit: 300,
		larger:   codec.LengthPrefix{Bytes: 8, LittleEndian: true},
		messages: [][]byte{[]byte("abc")},
	},
	{
		name: "varint", codec: codec.Varint{Max: 300}, limit: 300, larger: codec.Varint{},
		messages: [][]byte{{}, []byte("abc"), make([]byte, 127), make([]byte, 128), make([]byte, 300)},
	},
	{
		name: "fixed", codec: codec.Fixed{Size: 5},
		messages: [][]byte{[]byte("abcde"), []byte("fghij")},
	},
}

func TestConformance(t *testing.T) {
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if err := codectest.Check(c.codec, c.messages...); err != nil {
				t.Error(err)
			}
			if c.limit == 0 {
				return
			}
			if err := codectest.CheckLimit(c.codec, c.larger, c.limit, 'z'); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec codec.Codec
		src   string
		want  []string // messages
		left  int      // bytes
		err   string
	}{
		{name: "LF and CR LF", codec: codec.Line{}, src: "a\nb\r\n\r\n\nc", want: []string{"a", "b", "", ""}, left: 1},
		{name: "line at its limit with CR", codec: codec.Line{Max: 3}, src: "abc\r\n", want: []string{"abc"}},
		{name: "line over its limit", codec: codec.Line{Max: 3}, src: "ok\nabcd\n", want: []string{"ok"},
			err: "limit of 3 bytes"},
		{name: "line without an end, over", codec: codec.Line{Max: 3}, src: "abcd", err: "limit of 3 bytes"},
		{name: "line without an end, not over yet", codec: codec.Line{Max: 3}, src: "abc\r", left: 4},
		{name: "delimiters that overlap", codec: codec.Delimiter{Sequence: "aab"}, src: "aaab", want: []string{"a"}},
		{name: "no delimiter", codec: codec.Delimiter{}, src: "a", err: "without a Sequence"},
		{
			name: "length of 2^63", codec: codec.LengthPrefix{Bytes: 8}, src: "\x80\x00\x00\x00\x00\x00\x00\x00",
			err: "limit of 1048576 bytes",
		},
		{name: "length of 2^64-1", codec: codec.LengthPrefix{Bytes: 8}, src: strings.Repeat("\xff", 8),
			err: "limit of 1048576 bytes"},
		{name: "length of 3 bytes", codec: codec.LengthPrefix{Bytes: 3}, src: "\x00\x00\x01a",
			err: "want 1, 2, 4 or 8"},
		{name: "little endian", codec: codec.LengthPrefix{Bytes: 2, LittleEndian: true}, src: "\x01\x00a",
			want: []string{"a"}},
		{name: "varint", codec: codec.Varint{}, src: "\x03abc\x80", want: []string{"abc"}, left: 1},
		{name: "varint that is too long", codec: codec.Varint{}, src: "\x81\x00a", err: "shortest form"},
		{name: "varint that overflows", codec: codec.Varint{}, src: strings.Repeat("\xff", 10) + "\x01",
			err: "varint of 64 bits"},
		{name: "varint over its limit", codec: codec.Varint{Max: 10}, src: "\x0b", err: "limit of 10 bytes"},
		{name: "fixed", codec: codec.Fixed{Size: 2}, src: "abcde", want: []string{"ab", "cd"}, left: 1},
		{name: "fixed without a size", codec: codec.Fixed{}, src: "a", err: "without a Size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			f := codec.NewFramer(&conn{}, c.codec, func(_ *codec.Framer, msg []byte) error {
				got = append(got, string(msg))
				return nil
			})
			n, err := f.Feed([]byte(c.src))
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("messages %q, want %q", got, c.want)
			}
			if c.err == "" && (err != nil || len(c.src)-n != c.left) {
				t.Errorf("%d bytes are left, %v; want %d", len(c.src)-n, err, c.left)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, want %q", err, c.err)
			}
		})
	}
}

func TestAppendRefusesWhatDecodeWouldNotGiveBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec codec.Codec
		msg   string
	}{
		{name: "LF in a line", codec: codec.Line{}, msg: "a\nb"},
		{name: "CR at the end of a line", codec: codec.Line{}, msg: "a\r"},
		{name: "delimiter inside", codec: codec.Delimiter{Sequence: "ab"}, msg: "xaby"},
		{name: "delimiter begins in the message", codec: codec.Delimiter{Sequence: "aa"}, msg: "xa"},
		{name: "another size", codec: codec.Fixed{Size: 3}, msg: "ab"},
		{name: "more than one byte can say", codec: codec.LengthPrefix{Bytes: 1}, msg: strings.Repeat("a", 256)},
		{name: "prefix of 3 bytes", codec: codec.LengthPrefix{Bytes: 3}, msg: "a"},
		{name: "prefix of less than nothing", codec: codec.LengthPrefix{Bytes: -1}, msg: "a"},
	} {
		if b, err := c.codec.Append([]byte("dst"), []byte(c.msg)); err == nil || string(b) != "dst" {
			t.Errorf("%s: %q, %v", c.name, b, err)
		}
	}
}

// TestLargestLimit: a limit that is as good as none is not exceeded by the first bytes.
func TestLargestLimit(t *testing.T) {
	for _, c := range []codec.Codec{
		codec.Line{Max: math.MaxInt}, codec.Delimiter{Sequence: "||", Max: math.MaxInt},
		codec.LengthPrefix{Max: math.MaxInt}, codec.Varint{Max: math.MaxInt},
	} {
		frame, err := c.Append(nil, []byte("abc"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range frame {
			if _, n, _, err := c.Decode(frame[:i], 0); n != 0 || err != nil {
				t.Errorf("%T: %d of %d bytes: %d, %v", c, i, len(frame), n, err)
			}
		}
		if msg, n, _, err := c.Decode(frame, 0); string(msg) != "abc" || n != len(frame) || err != nil {
			t.Errorf("%T: %q, %d, %v", c, msg, n, err)
		}
	}
}
