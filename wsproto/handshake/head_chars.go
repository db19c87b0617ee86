package handshake

import "encoding/binary"

// The character classes of RFC 9110 section 5.6, as bits in one table.
const (
	tokenChar  = 1 << iota // may be in a token
	valueChar              // may be in a field value
	hostChar               // may be in a Host field
	targetChar             // may be in a request target
	base64Char             // may be in base64, without the padding
)

// chars has the classes of each character.
var chars = func() (t [256]uint8) {
	for c := range t {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if alnum {
			t[c] |= tokenChar | hostChar | base64Char
		}
		if c == '\t' || c >= ' ' && c != 0x7F {
			t[c] |= valueChar
		}
		if c > ' ' && c < 0x7F && c != '#' {
			t[c] |= targetChar
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= tokenChar
	}
	t['+'] |= base64Char
	t['/'] |= base64Char
	for _, c := range []byte("-._~%!$&'()*+,;=:[]") { // RFC 3986 section 3.2.2, and the port
		t[c] |= hostChar
	}
	return t
}()

// all reports whether all characters of b are of a class.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if chars[c]&class == 0 {
			return false
		}
	}
	return true
}

func isToken(b []byte) bool { return len(b) > 0 && all(b, tokenChar) }
func isHost(b []byte) bool  { return len(b) > 0 && all(b, hostChar) }

// isValue reports whether b may be the value of a field. It looks at eight bytes at a time, and
// then one by one at those that may have a control character among them.
func isValue(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ 0x7F*ones
		if ((w-' '*ones)&^w|(del-ones)&^del)&tops != 0 && !all(b[:8], valueChar) {
			return false
		}
		b = b[8:]
	}
	return all(b, valueChar)
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// trim cuts spaces and tabs off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold reports whether b and s are equal except for the case of ASCII letters. Unlike
// strings.EqualFold, it does not equate other characters with them, such as the Kelvin sign with k.
func equalFold[T string | []byte](b []byte, s T) bool {
	if len(b) != len(s) {
		return false
	}
	if string(b) == string(s) {
		return true
	}
	for i := range b {
		if x, y := b[i], s[i]; x != y && lower(x) != lower(y) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
