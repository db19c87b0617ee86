package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
)

// keys of the requests, as bits, to find those that are there twice or do not belong.
const (
	keyType = 1 << iota
	keyTopic
	keyAfter
	keyID
	keyText
	keyBase64
)

// keysOf says which keys a request must have, and which ones it may have.
var keysOf = [...]struct{ must, may uint8 }{
	kindSubscribe:   {must: keyTopic, may: keyAfter},
	kindUnsubscribe: {must: keyTopic},
	kindPublish:     {must: keyTopic, may: keyID | keyText | keyBase64},
	kindPing:        {},
}

// parse decodes an object whose values are strings and numbers. Strings are unescaped in place.
func (jsonEncoding) parse(b []byte) (r request, err error) {
	s := scanner{b: b}
	var seen uint8
	s.expect('{')
	for first := true; s.err == nil && !s.accept('}'); first = false {
		if !first {
			s.expect(',')
		}
		key := s.string()
		s.expect(':')
		bit := s.value(&r, key)
		if s.err == nil && seen&bit != 0 {
			s.err = fmt.Errorf("%.40q is there twice", key)
		}
		seen |= bit
	}
	if s.space(); s.err == nil && s.at < len(b) {
		s.err = fmt.Errorf("something follows the object, at byte %d", s.at)
	}
	if s.err != nil {
		return r, s.err
	}
	if seen&keyType == 0 {
		return r, errors.New(`no "type"`)
	}
	want, seen := keysOf[r.kind], seen&^keyType
	if seen&want.must != want.must || seen&^(want.must|want.may) != 0 {
		return r, fmt.Errorf("a key of %q is missing, or does not belong there", kindNames[r.kind])
	}
	if r.kind == kindPublish && (seen&keyText == 0) == (seen&keyBase64 == 0) {
		return r, errors.New(`"publish" needs either "text" or "base64"`)
	}
	return r, nil
}

// value scans the value of a key, and returns the key's bit.
func (s *scanner) value(r *request, key []byte) uint8 {
	switch string(key) {
	case "type":
		r.kind = s.kind()
		return keyType
	case "topic":
		r.topic = s.string()
		return keyTopic
	case "after":
		text := s.string()
		if s.err == nil {
			r.after, s.err = parsePosition(string(text))
		}
		r.recover = true
		return keyAfter
	case "id":
		r.id = s.number()
		return keyID
	case "text":
		r.op, r.data = websocket.Text, s.string()
		return keyText
	case "base64":
		r.op, r.data = websocket.Binary, s.base64()
		return keyBase64
	}
	if s.err == nil {
		s.err = fmt.Errorf("unknown key %.40q", key)
	}
	return 0
}

// scanner takes JSON apart. After the first error it does nothing.
type scanner struct {
	b   []byte
	at  int
	err error
}

func (s *scanner) fail(what string) {
	if s.err != nil {
		return
	}
	if s.at >= len(s.b) {
		s.err = errEnds
	} else {
		s.err = fmt.Errorf("%s expected at byte %d", what, s.at)
	}
}

func (s *scanner) space() {
	for s.at < len(s.b) && (s.b[s.at] == ' ' || s.b[s.at] == '\n' || s.b[s.at] == '\t' || s.b[s.at] == '\r') {
		s.at++
	}
}

func (s *scanner) accept(c byte) bool {
	s.space()
	if s.err != nil || s.at >= len(s.b) || s.b[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.accept(c) {
		s.fail(string(rune(c)))
	}
}

func (s *scanner) kind() kind {
	name := s.string()
	for k := kindSubscribe; int(k) < len(kindNames); k++ {
		if kindNames[k] == string(name) {
			return k
		}
	}
	if s.err == nil {
		s.err = fmt.Errorf("unknown type %.40q", name)
	}
	return 0
}

// number scans a whole number that is exact in JavaScript.
func (s *scanner) number() uint64 {
	s.space()
	begin := s.at
	for s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		s.at++
	}
	digits := s.b[begin:s.at]
	if len(digits) == 0 || len(digits) > 1 && digits[0] == '0' {
		s.fail("a whole number")
		return 0
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if s.err == nil && (err != nil || n > maxID) {
		s.err = errID
	}
	return n
}

func (s *scanner) base64() []byte {
	text := s.string()
	if s.err != nil {
		return nil
	}
	data, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || bytes.ContainsAny(text, "\r\n") { // which the decoder skips
		s.err = errors.New(`"base64" is not base64 with padding`)
	}
	return data
}

// string scans a string, and unescapes it in place.
func (s *scanner) string() []byte {
	if !s.accept('"') {
		s.fail("a string")
		return nil
	}
	begin, end := s.at, s.at // of what is unescaped
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return s.b[begin:end]
		case c < ' ':
			s.fail("an escape for a control character")
			return nil
		case c == '\\':
			s.at++
			if end = s.escape(end); s.err != nil {
				return nil
			}
		default:
			s.b[end] = c
			end++
			s.at++
		}
	}
	s.fail("")
	return nil
}

// escape writes what follows a backslash to s.b[end:], which is not behind it, and returns its end.
func (s *scanner) escape(end int) int {
	if s.at >= len(s.b) {
		s.fail("")
		return end
	}
	c := s.b[s.at]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		char := s.hex4(s.at + 1)
		if char < 0 {
			s.fail("an escape")
			return end
		}
		s.at += 5
		if utf16.IsSurrogate(char) {
			char = s.pair(char)
		}
		return end + utf8.EncodeRune(s.b[end:end+utf8.UTFMax], char)
	default:
		s.fail("an escape")
		return end
	}
	s.b[end] = c
	s.at++
	return end + 1
}

// pair joins a surrogate with the one that follows. One alone is U+FFFD, as in encoding/json.
func (s *scanner) pair(first rune) rune {
	if s.at+1 < len(s.b) && s.b[s.at] == '\\' && s.b[s.at+1] == 'u' {
		if char := utf16.DecodeRune(first, s.hex4(s.at+2)); char != utf8.RuneError {
			s.at += 6
			return char
		}
	}
	return utf8.RuneError
}

// hex4 returns the number that four digits at i are; -1 if they are not.
func (s *scanner) hex4(i int) (n rune) {
	if i+4 > len(s.b) {
		return -1
	}
	for _, c := range s.b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
