package saved

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// TestReaderReadsBack reads what was appended.
func TestReaderReadsBack(t *testing.T) {
	b := AppendBytes(binary.AppendUvarint([]byte{7}, 300), "text")
	b = append(AppendBytes(b, []byte(nil)), "rest"...)
	r := NewReader(b)
	got := fmt.Sprintf("%d %d %q %q %q", r.Byte(), r.Uvarint(300), r.Bytes(4), r.Bytes(0), r.Take(2))
	if want := `7 300 "text" "" "re"`; got != want || r.Err() != nil || string(r.Rest()) != "st" {
		t.Errorf("%s, want %s; rest %q, %v", got, want, r.Rest(), r.Err())
	}
}

// TestReaderRefuses reads states that nothing has saved.
func TestReaderRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		b    []byte
		read func(*Reader)
	}{
		{"no byte", nil, func(r *Reader) { r.Byte() }},
		{"no number", nil, func(r *Reader) { r.Uvarint(1) }},
		{"a number that is cut off", []byte{0x80}, func(r *Reader) { r.Uvarint(1) }},
		{"a number of 65 bits", bytes.Repeat([]byte{0xFF}, 11), func(r *Reader) { r.Uvarint(1 << 63) }},
		{"a number that is too long", []byte{0x81, 0}, func(r *Reader) { r.Uvarint(1 << 20) }},
		{"a number over the limit", []byte{9}, func(r *Reader) { r.Uvarint(8) }},
		{"bytes that are cut off", []byte{3, 'a', 'b'}, func(r *Reader) { r.Bytes(8) }},
		{"bytes over the limit", []byte{3, 'a', 'b', 'c'}, func(r *Reader) { r.Bytes(2) }},
		{"bytes over a limit below 0", []byte{3, 'a', 'b', 'c'}, func(r *Reader) { r.Bytes(-1) }},
		{"a check", []byte{3}, func(r *Reader) { r.Check(false) }},
	} {
		r := NewReader(test.b)
		test.read(&r)
		if !errors.Is(r.Err(), ErrMalformed) || len(r.Rest()) > 0 || r.Byte() != 0 {
			t.Errorf("%s: %v, rest %q", test.name, r.Err(), r.Rest())
		}
	}
}
