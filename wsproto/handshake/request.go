package handshake

import (
	"bytes"
	"fmt"
)

// HeadLimits bound what a request may have. The zero value stands for the defaults.
type HeadLimits struct {
	Line   int // the request line, in bytes. Default: 8 KiB
	Header int // everything up to the empty line, in bytes. Default: 16 KiB
	Fields int // header fields. Default: 100
}

func (l HeadLimits) withDefaults() HeadLimits {
	if l.Line <= 0 {
		l.Line = 8 << 10
	}
	if l.Header <= 0 {
		l.Header = 16 << 10
	}
	if l.Fields <= 0 {
		l.Fields = 100
	}
	return l
}

// Error is why a request is refused: an HTTP status, and the rule it broke or the limit it went over.
type Error struct {
	Status  int
	Section string // of which RFC
	Text    string
}

func (e *Error) Error() string { return fmt.Sprintf("wsproto: %s (%s)", e.Text, e.Section) }

func refuse(status int, section, text string) *Error {
	return &Error{status, section, text}
}

var (
	errLine       = refuse(400, "RFC 9112 section 3", "malformed request line")
	errMethod     = refuse(400, "RFC 9110 section 9.1", "method is not a token")
	errConnect    = refuse(501, "RFC 9110 section 9.3.6", "CONNECT is for proxies")
	errTarget     = refuse(400, "RFC 9112 section 3.2", "request target is not of the origin form")
	errVersion    = refuse(505, "RFC 9112 section 2.3", "version is not HTTP/1.1")
	errEnding     = refuse(400, "RFC 9112 section 2.2", "line does not end with CR LF")
	errFold       = refuse(400, "RFC 9112 section 5.2", "header field is folded over several lines")
	errName       = refuse(400, "RFC 9112 section 5.1", "header field name is not a token followed by a colon")
	errValue      = refuse(400, "RFC 9110 section 5.5", "control character in a header field")
	errHost       = refuse(400, "RFC 9112 section 3.2", "not exactly one Host field")
	errHostValue  = refuse(400, "RFC 9110 section 7.2", "malformed Host field")
	errLength     = refuse(400, "RFC 9112 section 6.3", "malformed or repeated Content-Length")
	errTwoLengths = refuse(400, "RFC 9112 section 6.1", "both Content-Length and Transfer-Encoding")
	errCodings    = refuse(400, "RFC 9112 section 6.3", "not exactly one Transfer-Encoding that ends with chunked")
	errCoding     = refuse(501, "RFC 9112 section 6.1", "Transfer-Encoding other than chunked")
)

// Request is the head of an HTTP/1.1 request. All slices are parts of what ParseRequest was given, and valid as long as
// that is. A Request can be used again for the next one.
type Request struct {
	Method []byte
	Target []byte // as it was sent: Path, and Query behind a question mark
	Path   []byte
	Query  []byte
	Host   []byte

	// Length is how many bytes of content follow the head; Chunked if it comes in chunks, which tell (RFC 9112 section 7.1).
	Length int64

	fields // embedded for Fields and Header
}

// Chunked is the Length of content whose length is not known from the head.
const Chunked = -1

var (
	comma   = []byte(",")
	slash   = []byte("/")
	version = []byte("HTTP/1.1")
)

// ParseRequest reads the head of a request from the beginning of src into r, and returns how long it is: 0 if there is not
// all of it yet. scanned is for ParseRequest to remember how much of src it has looked at, so that a head that comes in
// many pieces is not scanned again and again: it must be 0 at first and is the caller's to keep.
//
// It is strict (RFC 9112): CR LF ends lines, nothing is folded, names are tokens, values have no control characters, Host
// is there once, the target has the origin form. Content is announced by one Content-Length, or by one Transfer-Encoding that
// says chunked and nothing else. An error is a *Error.
func ParseRequest(src []byte, scanned *uint32, r *Request, limits HeadLimits) (n int, err error) {
	l := limits.withDefaults()
	n, err = headEnd(src, scanned, l)
	if n == 0 || err != nil {
		return 0, err
	}
	line := src[:bytes.IndexByte(src[:n], '\n')+1]
	if err := r.parseLine(line, l); err != nil {
		return 0, err
	}
	if err := r.read(src[len(line):n-2], l); err != nil {
		return 0, err
	}
	if err := r.check(); err != nil {
		return 0, err
	}
	return n, nil
}

// headEnd finds the end of the head, and refuses one that is too long before it is complete.
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

func (l HeadLimits) lineError() error {
	return refuse(414, "RFC 9112 section 3", fmt.Sprintf("start line over the limit of %d bytes", l.Line))
}

// parseLine reads "GET /path HTTP/1.1\r\n".
func (r *Request) parseLine(line []byte, l HeadLimits) error {
	if len(line) > l.Line {
		return l.lineError()
	}
	line = line[:len(line)-2]
	a := bytes.IndexByte(line, ' ')
	b := bytes.LastIndexByte(line, ' ')
	if a <= 0 || b == a {
		return errLine
	}
	r.Method, r.Target = line[:a], line[a+1:b]
	if !isToken(r.Method) {
		return errMethod
	}
	if string(r.Method) == "CONNECT" {
		return errConnect
	}
	if v := line[b+1:]; !bytes.Equal(v, version) {
		if len(v) == len(version) && bytes.HasPrefix(v, version[:5]) && v[6] == '.' {
			return errVersion
		}
		return errLine
	}
	if !isTarget(r.Target) {
		return errTarget
	}
	r.Path, r.Query, _ = bytes.Cut(r.Target, question)
	return nil
}

// isTarget says whether b has the origin form, such as /path?query.
func isTarget(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7F || c == '#' {
			return false
		}
	}
	return len(b) > 0 && b[0] == '/'
}

var question = []byte("?")

// check looks at the fields that decide where the message ends.
func (r *Request) check() (err error) {
	hosts := 0
	switch r.Host, hosts = r.only(hostField); {
	case hosts != 1:
		return errHost
	case !isHost(r.Host):
		return errHostValue
	}
	lengths, codings := 0, 0
	r.Length = 0
	for v := range r.values(lengthField) {
		lengths++
		if r.Length, err = parseLength(v); err != nil {
			return err
		}
	}
	for v := range r.values(codingField) {
		codings++
		if err := checkCoding(v); err != nil {
			return err
		}
	}
	switch {
	case lengths > 0 && codings > 0:
		return errTwoLengths
	case lengths > 1:
		return errLength
	case codings > 1:
		return errCodings
	case codings > 0:
		r.Length = Chunked
	}
	return nil
}
