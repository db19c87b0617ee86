package handshake

import (
	"bytes"

	"github.com/myriadnet/myriad/wsproto"
)

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

// Request is the head of an HTTP/1.1 request. Its slices are parts of what ParseRequest was given,
// and valid as long as that is. A Request may be used again for another one.
type Request struct {
	Method []byte
	Target []byte // as it was sent: Path, and Query behind a question mark
	Path   []byte
	Query  []byte
	Host   []byte

	// Length is how many bytes of content follow the head, or Chunked.
	Length int64

	fields // for its methods Fields and Header
}

// Chunked is the Length of a request whose content is sent in chunks (RFC 9112 section 7.1).
const Chunked = -1

var (
	comma   = []byte(",")
	slash   = []byte("/")
	version = []byte("HTTP/1.1")
)

// ParseRequest parses the head of a request at the beginning of src into r, and returns its size,
// or 0 if it is incomplete. limits may be nil, for the defaults. An error is an *Error.
//
// If scanned is not nil, ParseRequest keeps in it how many bytes of src it has looked at, so that a
// head that arrives in many pieces is scanned only once. It must be 0 for a new head.
//
// ParseRequest is as strict as RFC 9112 allows: lines end with CR LF, no field is folded, names are
// tokens, values have no control characters, there is one Host field, and the target has the origin
// form. Content is announced by one Content-Length, or by one Transfer-Encoding that is chunked and
// nothing else.
func ParseRequest(src []byte, scanned *uint32, r *Request, limits *wsproto.Limits) (n int, err error) {
	return parseRequest(src, scanned, r, limitsOf(limits))
}

// parseRequest is ParseRequest.
func parseRequest(src []byte, scanned *uint32, r *Request, l headLimits) (n int, err error) {
	if scanned == nil {
		scanned = new(uint32)
	}
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
	if err := r.checkFraming(); err != nil {
		return 0, err
	}
	return n, nil
}

// parseLine parses a request line such as "GET /path HTTP/1.1\r\n".
func (r *Request) parseLine(line []byte, l headLimits) error {
	if len(line) > l.line {
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

// isTarget reports whether b has the origin form, such as /path?query.
func isTarget(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7F || c == '#' {
			return false
		}
	}
	return len(b) > 0 && b[0] == '/'
}

var question = []byte("?")

// checkFraming checks the Host field, and the fields that decide where the request ends.
func (r *Request) checkFraming() (err error) {
	host, hosts := r.only(hostField)
	r.Host = host
	switch {
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
