package codec_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec"
)

// fuzzSplit feeds b whole and split. It wants the same messages and the same kind of end. It
// returns the messages.
func fuzzSplit(t *testing.T, c codec.Codec, b []byte, cut uint16) [][]byte {
	run := func(parts ...[]byte) (got [][]byte, err error) {
		var held []byte
		f := codec.NewFramer(&conn{}, c, func(_ *codec.Framer, msg []byte) error {
			got = append(got, bytes.Clone(msg))
			return nil
		})
		for _, p := range parts {
			held = append(held, p...)
			n, err := f.Feed(held)
			if err != nil {
				return got, err
			}
			held = bytes.Clone(held[n:])
		}
		return got, nil
	}
	at := min(int(cut), len(b))
	whole, err1 := run(b)
	split, err2 := run(b[:at], b[at:])
	if fmt.Sprintf("%q", whole) != fmt.Sprintf("%q", split) || (err1 == nil) != (err2 == nil) {
		t.Fatalf("whole: %q, %v; split at %d: %q, %v", whole, err1, at, split, err2)
	}
	return whole
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a\r\nb\n"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		got := fuzzSplit(t, codec.Line{Max: 1 << 20}, b, cut)
		s := bufio.NewScanner(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1]))
		s.Buffer(nil, 1<<20)
		for i := 0; s.Scan(); i++ {
			if i >= len(got) || !bytes.Equal(got[i], s.Bytes()) {
				t.Fatalf("line %d is %q for bufio.Scanner", i, s.Bytes())
			}
		}
		fuzzSplit(t, codec.Line{Max: 5}, b, cut)
	})
}

func FuzzDelimiter(f *testing.F) {
	f.Add([]byte("a||b|||"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		got := fuzzSplit(t, codec.Delimiter{Sequence: "||"}, b, cut)
		want := bytes.Split(b, []byte("||"))
		if len(got) != len(want)-1 {
			t.Fatalf("%d messages, bytes.Split finds %d", len(got), len(want)-1)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("message %d is %q, want %q", i, got[i], want[i])
			}
		}
		fuzzSplit(t, codec.Delimiter{Sequence: "aba", Max: 5}, b, cut)
	})
}

func FuzzSized(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		for _, n := range []int{1, 2, 4, 8} {
			fuzzSplit(t, codec.LengthPrefix{Bytes: n}, b, cut)
			fuzzSplit(t, codec.LengthPrefix{Bytes: n, LittleEndian: true, Max: 5}, b, cut)
		}
		fuzzSplit(t, codec.Fixed{Size: 3}, b, cut)
		fuzzSplit(t, codec.Varint{Max: 40}, b, cut)
		got := fuzzSplit(t, codec.LengthPrefix{Bytes: 2}, b, cut)
		// The naive twin.
		for rest := b; len(rest) >= 2 && len(rest) >= 2+int(binary.BigEndian.Uint16(rest)); got = got[1:] {
			n := 2 + int(binary.BigEndian.Uint16(rest))
			if len(got) == 0 || !bytes.Equal(got[0], rest[2:n]) {
				t.Fatalf("message %q is missing", rest[2:n])
			}
			rest = rest[n:]
		}
		if len(got) > 0 {
			t.Fatalf("messages %q too many", got)
		}
	})
}
