package wsproto

import (
	"testing"
	"unicode/utf8"
)

// ValidSoFar reports, by the standard library, whether b can begin a valid text, or is one if it is
// done.
func ValidSoFar(b []byte, done bool) bool {
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

// TestUTF8FailsAtTheFirstBadByte tries every sequence of up to five bytes that matter.
func TestUTF8FailsAtTheFirstBadByte(t *testing.T) {
	edges := []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
		0xEE, 0xEF,
		0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF}
	var extend func(b []byte, u textState)
	extend = func(b []byte, u textState) {
		for _, c := range edges {
			next, v := append(b[:len(b):len(b)], c), u
			ok := v.feed(next[len(b):])
			if ok != ValidSoFar(next, false) || ok && v.whole() != utf8.Valid(next) {
				t.Fatalf("% x: %v, whole: %v", next, ok, v.whole())
			}
			if ok && len(next) < 5 {
				extend(next, v)
			}
		}
	}
	extend(nil, textState{})
}
