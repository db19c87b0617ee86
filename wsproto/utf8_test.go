package wsproto_test

import (
	"testing"
	"unicode/utf8"

	"github.com/myriadnet/myriad/wsproto"
)

// validSoFar says, by the standard library, whether b can begin a valid text, or be one if it is done.
func validSoFar(b []byte, done bool) bool {
	if done {
		return utf8.Valid(b)
	}
	for cut := range min(4, len(b)+1) { // the last character may be incomplete
		if rest := b[len(b)-cut:]; utf8.Valid(b[:len(b)-cut]) && (cut == 0 || !utf8.FullRune(rest)) {
			return true
		}
	}
	return false
}

// TestUTF8FailsAtTheFirstBadByte goes through every sequence of up to three bytes that matter, and fourth ones.
func TestUTF8FailsAtTheFirstBadByte(t *testing.T) {
	edges := []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
		0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF}
	var extend func(b []byte, u wsproto.UTF8)
	extend = func(b []byte, u wsproto.UTF8) {
		for _, c := range edges {
			next, v := append(b[:len(b):len(b)], c), u
			ok := v.Feed(next[len(b):])
			if ok != validSoFar(next, false) || ok && v.Whole() != utf8.Valid(next) {
				t.Fatalf("% x: %v, whole: %v", next, ok, v.Whole())
			}
			if ok && len(next) < 5 {
				extend(next, v)
			}
		}
	}
	extend(nil, wsproto.UTF8{})
}
