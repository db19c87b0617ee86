package wsproto

import "unicode/utf8"

// ValidUTF8 reports whether b is valid UTF-8, as unicode/utf8.Valid does, by vector code where the
// machine has it.
func ValidUTF8(b []byte) bool {
	var u textState
	return u.feed(b) && u.whole()
}

// textState checks a text that arrives in pieces, split anywhere. The zero value is at the
// beginning of a text. It holds what may follow: how many continuation bytes, and the range of the
// next one (RFC 3629 section 4).
type textState struct{ need, low, high uint8 }

// feed checks the next piece and reports whether the text can still become valid UTF-8. It returns
// false from the first byte on that no continuation can make valid.
func (u *textState) feed(b []byte) bool {
	head := min(int(u.need), len(b))
	if !u.steps(b[:head]) {
		return false
	}
	b = b[head:]
	end := wholeCharacters(b)
	if utf8Wins(len(b)) {
		if !utf8Vector(b) {
			return false
		}
	} else if !utf8.Valid(b[:end]) {
		return false
	}
	return u.steps(b[end:])
}

// unmask calls Mask and then feed. What is found to be ASCII while it is unmasked needs no check.
func (u *textState) unmask(b []byte, key Key) bool {
	head := min(int(u.need), len(b))
	key = Mask(b[:head], key)
	if !u.steps(b[:head]) {
		return false
	}
	b = b[head:]
	if unmaskWins(len(b)) {
		return unmaskVector(b, uint32(key)) && u.steps(b[wholeCharacters(b):])
	}
	return mask(b, uint32(key), true) || u.feed(b)
}

// unmaskText calls Mask, and reports what utf8.Valid does.
func unmaskText(b []byte, key Key) bool {
	if unmaskWins(len(b)) {
		return unmaskVector(b, uint32(key)) && wholeCharacters(b) == len(b)
	}
	if mask(b, uint32(key), true) {
		return true
	}
	if utf8Wins(len(b)) {
		return utf8Vector(b) && wholeCharacters(b) == len(b)
	}
	return utf8.Valid(b)
}

// wholeCharacters returns how many bytes of b come before a last character that is incomplete.
func wholeCharacters(b []byte) int {
	for i := 1; i <= min(3, len(b)); i++ {
		if c := b[len(b)-i]; c >= 0xC0 {
			if i < length(c) {
				return len(b) - i
			}
			break
		} else if c < 0x80 {
			break
		}
	}
	return len(b)
}

// whole reports whether the text may end here.
func (u *textState) whole() bool { return u.need == 0 }

// length returns the length of the character that begins with c.
func length(c byte) int {
	switch {
	case c >= 0xF0:
		return 4
	case c >= 0xE0:
		return 3
	}
	return 2
}

// steps checks bytes one by one.
func (u *textState) steps(b []byte) bool {
	for _, c := range b {
		if !u.step(c) {
			return false
		}
	}
	return true
}

// step checks one byte.
//
//	lead     next            then       excluded
//	C2..DF   80..BF
//	E0       A0..BF          80..BF     longer forms than necessary
//	ED       80..9F          80..BF     surrogates
//	F0       90..BF          80..BF x2  longer forms than necessary
//	F4       80..8F          80..BF x2  above U+10FFFF
func (u *textState) step(c byte) bool {
	if u.need > 0 {
		if c < u.low || c > u.high {
			return false
		}
		u.need--
		u.low, u.high = 0x80, 0xBF
		return true
	}
	u.low, u.high = 0x80, 0xBF
	switch {
	case c < 0x80:
		return true
	case c < 0xC2 || c > 0xF4:
		return false
	case c == 0xE0:
		u.low = 0xA0
	case c == 0xED:
		u.high = 0x9F
	case c == 0xF0:
		u.low = 0x90
	case c == 0xF4:
		u.high = 0x8F
	}
	u.need = uint8(length(c) - 1)
	return true
}
