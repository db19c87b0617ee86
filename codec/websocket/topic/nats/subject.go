package nats

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// maxTopic limits the bytes of a topic's name.
const maxTopic = 255

// escape returns the topic as one token of a subject. Bytes that mean something in subjects, or end
// them, become %XX. Different topics have different tokens, and unescape returns the topic.
func escape(name string) (string, error) {
	if name == "" || len(name) > maxTopic || !utf8.ValidString(name) {
		return "", topic.ErrName
	}
	n := 0
	for i := range len(name) {
		if special(name[i]) {
			n++
		}
	}
	if n == 0 {
		return name, nil
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(name)+2*n)
	for i := range len(name) {
		c := name[i]
		if special(c) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b), nil
}

// special reports whether a byte of a topic is escaped.
func special(c byte) bool {
	return c <= ' ' || c == 0x7f || c == '.' || c == '*' || c == '>' || c == '%'
}

// unescape is the inverse of escape. It fails for what escape never returns.
func unescape(token string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			if i+2 >= len(token) {
				return "", fmt.Errorf("nats: %q is not an escaped topic", token)
			}
			high, low := unhex(token[i+1]), unhex(token[i+2])
			if high > 15 || low > 15 || !special(high<<4|low) {
				return "", fmt.Errorf("nats: %q is not an escaped topic", token)
			}
			c = high<<4 | low
			i += 2
		} else if special(c) {
			return "", fmt.Errorf("nats: %q is not an escaped topic", token)
		}
		b.WriteByte(c)
	}
	name := b.String()
	if name == "" || len(name) > maxTopic || !utf8.ValidString(name) {
		return "", topic.ErrName
	}
	return name, nil
}

// unhex returns the value of a hexadecimal digit in upper case, and 255 for anything else.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// kinds are the tokens behind the prefix. Within a prefix, they would make its subjects those of
// another one.
var kinds = []string{"in", "out", "epoch", "check", "alive", "node", "presence"}

// checkPrefix fails if a prefix is not one or more plain tokens, or is within another one's
// subjects.
func checkPrefix(prefix string) error {
	_, rest, _ := strings.Cut(prefix, ".")
	for token := range strings.SplitSeq(rest, ".") {
		if slices.Contains(kinds, token) {
			return fmt.Errorf("nats: prefix %q has the token %q, which is one of a Broker's subjects", prefix, token)
		}
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if _, err := escape(token); err != nil || strings.ContainsFunc(token, func(r rune) bool {
			return r > 0x7f || special(byte(r)) || r == '$'
		}) {
			return fmt.Errorf("nats: bad prefix %q", prefix)
		}
	}
	return nil
}
