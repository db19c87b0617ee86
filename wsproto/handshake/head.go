package handshake

import (
	"bytes"
	"fmt"
	"math"
)

// HeadLimits are the limits of the head of a request or response. In each of them 0 stands for the
// default, and a negative value switches the limit off.
type HeadLimits struct {
	Line   int // size of the start line, in bytes. Default: 8 KiB
	Header int // size of the head with the empty line at its end, in bytes. Default: 16 KiB
	Fields int // number of header fields. Default: 100
}

func (l HeadLimits) withDefaults() HeadLimits {
	for _, limit := range [...]struct {
		value     *int
		otherwise int
	}{{&l.Line, 8 << 10}, {&l.Header, 16 << 10}, {&l.Fields, 100}} {
		switch {
		case *limit.value == 0:
			*limit.value = limit.otherwise
		case *limit.value < 0:
			*limit.value = math.MaxInt32
		}
	}
	return l
}

// headEnd returns the size of the head, or 0 if it is incomplete. It refuses a head that is too
// long before that is complete.
func headEnd(src []byte, scanned *uint32, l HeadLimits) (n int, err error) {
	if len(src) > l.Line && bytes.IndexByte(src[:l.Line], '\n') < 0 {
		return 0, l.lineError()
	}
	within := src[:min(len(src), l.Header)]
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
	if len(src) > l.Header {
		return 0, refuse(431, "RFC 6585 section 5", fmt.Sprintf("header over the limit of %d bytes", l.Header))
	}
	return 0, nil
}

// lineError returns the error for a start line that is too long.
func (l HeadLimits) lineError() error {
	return refuse(414, "RFC 9112 section 3", fmt.Sprintf("start line over the limit of %d bytes", l.Line))
}

// fieldsError returns the error for too many header fields.
func (l HeadLimits) fieldsError() error {
	return refuse(431, "RFC 6585 section 5", fmt.Sprintf("over the limit of %d header fields", l.Fields))
}
