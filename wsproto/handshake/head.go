package handshake

import (
	"bytes"
	"fmt"
	"math"

	"github.com/myriadnet/myriad/wsproto"
)

// headLimits are the limits of the head of a request or response.
type headLimits struct {
	line, size int // of the start line and of the whole head, in bytes
	fields     int
}

// limitsOf returns the limits of heads in l, which is nil for the defaults.
func limitsOf(l *wsproto.Limits) headLimits {
	if l == nil {
		l = new(wsproto.Limits)
	}
	size, fields := limit(l.MaxHeader, 16<<10), limit(l.MaxHeaderFields, 100)
	line := limit(l.MaxStartLine, max(size/2, 8<<10))
	return headLimits{line: line, size: size, fields: fields}
}

// limit returns a limit, with its default for 0, and a very large one if it is switched off.
func limit(value, otherwise int) int {
	switch {
	case value == 0:
		return otherwise
	case value < 0:
		return math.MaxInt32
	}
	return min(value, math.MaxInt32) // positions in a head are kept in 32 bits
}

// headEnd returns the size of the head, or 0 if it is incomplete. It refuses a head that is too
// long before that is complete.
func headEnd(src []byte, scanned *uint32, l headLimits) (n int, err error) {
	if len(src) > l.line && bytes.IndexByte(src[:l.line], '\n') < 0 {
		return 0, l.lineError()
	}
	within := src[:min(len(src), l.size)]
	for i := int(*scanned); ; {
		k := bytes.IndexByte(within[i:], '\n')
		if k < 0 {
			*scanned = uint32(len(within))
			break
		}
		i += k + 1
		if i < 2 || within[i-2] != '\r' {
			return 0, errEnding
		}
		*scanned = uint32(i)
		if i == 2 || within[i-3] == '\n' {
			return i, nil
		}
	}
	if len(src) > l.size {
		return 0, refuse(431, "RFC 6585 section 5", fmt.Sprintf("header over the limit of %d bytes", l.size))
	}
	return 0, nil
}

// lineError returns the error for a start line that is too long.
func (l headLimits) lineError() error {
	return refuse(414, "RFC 9112 section 3", fmt.Sprintf("start line over the limit of %d bytes", l.line))
}

// fieldsError returns the error for too many header fields.
func (l headLimits) fieldsError() error {
	return refuse(431, "RFC 6585 section 5", fmt.Sprintf("over the limit of %d header fields", l.fields))
}
