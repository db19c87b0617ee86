// Package tables derives what the vector code for UTF-8 looks up, after Keiser and Lemire,
// "Validating UTF-8 in less than one instruction per byte" (2020): whether two neighbouring bytes
// may stand next to each other is decided by the first one's upper and lower four bits and the
// second one's upper four. Each error has a bit; it is found where all three tables have that bit.
package tables

import "bytes"

// nibbles is a set of values of four bits: bit i stands for i.
type nibbles uint16

const (
	all   nibbles = 0xFFFF
	ascii nibbles = 0x00FF // upper half of 00..7F
	next  nibbles = 0x0F00 // of 80..BF, a continuation byte
	lead  nibbles = 0xF000 // of C0..FF, the first byte of a character
)

func just(values ...int) (s nibbles) {
	for _, v := range values {
		s |= 1 << v
	}
	return s
}

// rules are what RFC 3629 section 4 forbids of two neighbours, the rule's index being its bit.
var rules = [8]struct{ high, low, then nibbles }{
	{lead, all, ascii | lead},                               // too short
	{ascii, all, next},                                      // continues nothing
	{just(0xC), just(0, 1), next},                           // C0, C1: longer than necessary
	{just(0xE), just(0), just(8, 9)},                        // E0 80..9F: likewise
	{just(0xE), just(0xD), just(0xA, 0xB)},                  // ED A0..BF: a surrogate
	{just(0xF), all &^ just(0, 1, 2, 3), just(9, 0xA, 0xB)}, // F4 90 and on: above U+10FFFF
	// F0 80..8F: longer than necessary; F5 80 and on: too large
	{just(0xF), all &^ just(1, 2, 3, 4), just(8)},
	// two continuations: right only as the third or fourth of a character
	{next, all, next},
}

// Third is the least first byte of a character of three bytes, Fourth that of one of four. Where
// the last rule is broken, the byte two before must be at least Third or the one three before at
// least Fourth, and elsewhere neither may be.
const (
	Third  = 0xE0
	Fourth = 0xF0
)

// High returns the table for the upper half of a first byte.
func High() [16]byte { return table(0) }

// Low returns the table for the lower half of a first byte.
func Low() [16]byte { return table(1) }

// Then returns the table for the upper half of the byte that follows.
func Then() [16]byte { return table(2) }

func table(which int) (t [16]byte) {
	for bit, r := range rules {
		for i := range t {
			t[i] |= byte([]nibbles{r.high, r.low, r.then}[which]>>i&1) << bit
		}
	}
	return t
}

// Whole is what a vector of n bytes may be at most, byte by byte, if no character is incomplete at
// its end.
func Whole(n int) []byte {
	w := bytes.Repeat([]byte{0xFF}, n)
	copy(w[n-3:], []byte{Fourth - 1, Third - 1, 0xC0 - 1})
	return w
}
