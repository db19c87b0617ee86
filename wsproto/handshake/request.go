package handshake

import (
	"bytes"

	"github.com/myriadnet/myriad/wsproto"
)

var (
	errLine       = refuse(400, "RFC 9112 section 3", "malformed request line")
	errProxy      = refuse(400, "proxy-protocol.txt section 2", "unexpected header of the PROXY protocol")
	errMethod     = refuse(400, "RFC 9110 section 9.1", "method is not a token")
	errConnect    = refuse(501, "RFC 9110 section 9.3.6", "CONNECT is for proxies")
	errTarget     = refuse(400, "RFC 9112 section 3.2", "malformed request target")
	errVersion    = refuse(505, "RFC 9112 section 2.3", "version is neither HTTP/1.1 nor HTTP/1.0")
	errEnding     = refuse(400, "RFC 9112 section 2.2", "line does not end with CR LF")
	errFold       = refuse(400, "RFC 9112 section 5.2", "header field is folded over several lines")
	errName       = refuse(400, "RFC 9112 section 5.1", "header field name is not a token followed by a colon")
	errValue      = refuse(400, "RFC 9110 section 5.5", "control character in a header field")
	errHost       = refuse(400, "RFC 9112 section 3.2", "not exactly one Host field")
	errHostValue  = refuse(400, "RFC 9110 section 7.2", "malformed Host field")
	errOtherHost  = refuse(400, "RFC 9112 section 3.2", "Host field differs from the host of the target")
	errLength     = refuse(400, "RFC 9112 section 6.3", "malformed or repeated Content-Length")
	errTwoLengths = refuse(400, "RFC 9112 section 6.1", "both Content-Length and Transfer-Encoding")
	errCodings    = refuse(400, "RFC 9112 section 6.3", "not exactly one Transfer-Encoding that ends with chunked")
	errCoding     = refuse(501, "RFC 9112 section 6.1", "Transfer-Encoding other than chunked")
	errCoding10   = refuse(400, "RFC 9112 section 6.1", "Transfer-Encoding in an HTTP/1.0 request")
)

// Request is the head of an HTTP/1.1 or HTTP/1.0 request. Its slices are parts of what ParseRequest
// was given, and valid as long as that is. A Request may be used again for another one.
type Request struct {
	Method []byte
	Target []byte // as it was sent: "/path?query", "http://host/path?query", or "*" for OPTIONS
	Path   []byte // of the target; "/" if that has none
	Query  []byte
	Host   []byte // of the target if that has one, or else the Host field; may be empty

	// HTTP10 is set for a request of HTTP/1.0, which has no opening handshake.
	HTTP10 bool

	// Secure tells CheckOrigin that the request has come over TLS. ParseRequest clears it.
	Secure bool

	// Length is how many bytes of content follow the head, or Chunked.
	Length int64

	fields        // for its methods Fields and Header
	port   string // the default port of the target's scheme; "": the target has no host

	foreign ways // that CheckHost knows not to be the server's
}

// Chunked is the Length of a request whose content is sent in chunks (RFC 9112 section 7.1).
const Chunked = -1

var (
	comma    = []byte(",")
	slash    = []byte("/")
	question = []byte("?")
	version  = []byte("HTTP/1.1")
)

// ParseRequest parses the head of a request at the beginning of src into r, and returns its size,
// or 0 if it is incomplete. limits may be nil, for the defaults. An error is an *Error.
//
// If scanned is not nil, ParseRequest keeps in it how many bytes of src it has looked at, so that a
// head that arrives in many pieces is scanned only once. It must be 0 for a new head.
//
// ParseRequest is strict where two programs could read a request differently: lines end with CR LF,
// no field is folded, names are tokens, values have no control characters, and there is one Host
// field, or none in HTTP/1.0. Content is announced by one Content-Length, or by one
// Transfer-Encoding that is chunked and nothing else. One empty line before the request is skipped
// (RFC 9112 section 2.2). A target in the absolute form must have the same host as the Host field
// (section 3.2).
func ParseRequest(src []byte, scanned *uint32, r *Request, limits *wsproto.Limits) (n int, err error) {
	return parseRequest(src, scanned, r, limitsOf(limits))
}

// parseRequest is ParseRequest.
func parseRequest(src []byte, scanned *uint32, r *Request, l headLimits) (n int, err error) {
	if scanned == nil {
		scanned = new(uint32)
	}
	skip := 0
	if bytes.HasPrefix(src, crlf) {
		skip = len(crlf)
	}
	head, seen := src[skip:], max(*scanned, uint32(skip))-uint32(skip)
	n, err = headEnd(head, &seen, l)
	*scanned = seen + uint32(skip)
	if n == 0 || err != nil {
		return 0, err
	}
	r.foreign, r.Secure = 0, false
	line := head[:bytes.IndexByte(head[:n], '\n')+1]
	if err := r.parseLine(line, l); err != nil {
		if err == errLine && isProxyHeader(src) {
			err = errProxy
		}
		return 0, err
	}
	if err := r.read(head[len(line):n-2], l); err != nil {
		return 0, err
	}
	if err := r.checkFraming(); err != nil {
		return 0, err
	}
	return skip + n, nil
}

// isProxyHeader reports whether src begins like a header of version 1 or 2.
func isProxyHeader(src []byte) bool {
	return bytes.HasPrefix(src, []byte("PROXY ")) || bytes.HasPrefix(src, []byte("\r\n\r\n\x00\r\nQUIT\n"))
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
	if err := r.parseVersion(line[b+1:]); err != nil {
		return err
	}
	return r.parseTarget()
}

func (r *Request) parseVersion(v []byte) error {
	r.HTTP10 = string(v) == "HTTP/1.0"
	switch {
	case r.HTTP10 || bytes.Equal(v, version):
		return nil
	case len(v) == len(version) && bytes.HasPrefix(v, version[:5]) && v[6] == '.':
		return errVersion
	}
	return errLine
}

// parseTarget finds the path, the query and, in the absolute form, the host.
func (r *Request) parseTarget() error {
	target, port := cutScheme(r.Target)
	absolute := port != ""
	r.Host, r.port = nil, port
	if absolute {
		end := bytes.IndexAny(target, "/?")
		if end < 0 {
			end = len(target)
		}
		if r.Host, target = target[:end], target[end:]; !isHost(r.Host) {
			return errTarget
		}
	}
	r.Path, r.Query, _ = bytes.Cut(target, question)
	switch {
	case !all(r.Target, targetChar):
		return errTarget
	case absolute && len(r.Path) == 0:
		r.Path = slash // RFC 9110 section 4.2.3
	case string(r.Target) == "*" && string(r.Method) == "OPTIONS":
	case len(r.Path) == 0 || r.Path[0] != '/':
		return errTarget
	}
	return nil
}

// schemes are those of targets in the absolute form, with their default ports. Clients may send
// that of the WebSocket instead of HTTP's.
var schemes = [...]struct{ scheme, port string }{
	{"http://", ":80"}, {"https://", ":443"}, {"ws://", ":80"}, {"wss://", ":443"},
}

// cutScheme cuts the scheme off a target in the absolute form. It returns its default port, or ""
// if the target has another form.
func cutScheme(target []byte) (rest []byte, port string) {
	for _, s := range schemes {
		if len(target) >= len(s.scheme) && equalFold(target[:len(s.scheme)], s.scheme) {
			return target[len(s.scheme):], s.port
		}
	}
	return target, ""
}

// isTarget reports whether b has the origin form, such as /path?query.
func isTarget(b []byte) bool { return len(b) > 0 && b[0] == '/' && all(b, targetChar) }

// sameHost reports whether a and b are the same host and port, with a default port that need not be
// there.
func sameHost(a, b []byte, port string) bool {
	return equalFold(bytes.TrimSuffix(a, []byte(port)), bytes.TrimSuffix(b, []byte(port)))
}

// checkFraming checks the Host field, and the fields that decide where the request ends.
func (r *Request) checkFraming() (err error) {
	host, hosts := r.only(hostField)
	switch {
	case hosts > 1 || hosts == 0 && !r.HTTP10:
		return errHost
	case len(host) > 0 && !isHost(host):
		return errHostValue
	}
	if r.Host != nil && hosts > 0 && !sameHost(host, r.Host, r.port) {
		return errOtherHost
	}
	if r.Host == nil {
		r.Host = host
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
	case codings > 0 && r.HTTP10:
		return errCoding10
	case codings > 0:
		r.Length = Chunked
	}
	return nil
}
