package tables

import "log"

// With tables of 64 entries, which AVX-512 has, every byte has one class of eight bits: what its
// upper six bits and its lower six have in common, in Upper and Lower. What may not follow it has
// one of the bits 0 to 4 in common with it, in Follows.
const (
	begins    = 1 << 0 // begins a character: must be continued
	not8      = 1 << 1 // not by 80..8F
	not9      = 1 << 2 // not by 90..9F
	notAB     = 1 << 3 // not by A0..BF
	Single    = 1 << 4 // ASCII: must not be continued
	OfFour    = 1 << 5 // begins a character of four bytes
	OfThree   = 1 << 6 // or of three, or four
	continues = 1 << 7
)

func class(c byte) byte {
	switch {
	case c < 0x80:
		return Single
	case c < 0xC0:
		return continues
	}
	least, most := byte(0x80), byte(0xBF) // of what follows
	switch {
	case c < 0xC2 || c > 0xF4:
		least = 0xFF
	case c == 0xE0:
		least = 0xA0
	case c == 0xED:
		most = 0x9F
	case c == 0xF0:
		least = 0x90
	case c == 0xF4:
		most = 0x8F
	}
	bits := byte(begins)
	for i, follows := range []byte{0x80, 0x90, 0xA0} {
		if follows < least || follows > most {
			bits |= not8 << i
		}
	}
	if c >= 0xE0 {
		bits |= OfThree
	}
	if c >= 0xF0 {
		bits |= OfFour
	}
	return bits
}

// Upper and Lower are the tables for the upper and the lower six bits of a byte.
func Upper() []byte {
	t := make([]byte, 64)
	for c := range 256 {
		t[c>>2] |= class(byte(c))
	}
	return t
}

func Lower() []byte {
	t, upper := make([]byte, 64), Upper()
	for i := range t {
		t[i] = class(byte(0xC0+i)) | Single | continues
	}
	for c := range 256 {
		if upper[c>>2]&t[c&0x3F] != class(byte(c)) {
			log.Fatalf("the tables do not tell the class of %#x", c)
		}
	}
	return t
}

// Follows is the table for the upper six bits of the next byte.
func Follows() []byte {
	t := make([]byte, 64)
	for i := range t {
		switch c := i << 2; {
		case c < 0x80 || c >= 0xC0:
			t[i] = begins
		case c < 0x90:
			t[i] = not8 | Single | continues
		case c < 0xA0:
			t[i] = not9 | Single | continues
		default:
			t[i] = notAB | Single | continues
		}
	}
	return t
}

// CutOff is which bits the classes of the last of n bytes have in common with it if a character is
// cut off there.
func CutOff(n int) []byte {
	t := make([]byte, n)
	copy(t[n-3:], []byte{OfFour, OfThree, begins})
	return t
}
