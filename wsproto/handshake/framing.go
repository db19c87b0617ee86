package handshake

import (
	"bytes"
	"fmt"
	"math"

	"github.com/myriadnet/myriad/wsproto"
)

// Framing follows the requests on one connection, and finds where each head, chunk, content and
// trailer ends. It is for a program that passes requests on to an HTTP server which is less strict:
// passing on only what Next lets through prevents request smuggling (RFC 9112 section 11.2),
// because both see the same requests. The zero value is at the beginning of a connection.
type Framing struct {
	Limits *wsproto.Limits // of each head; nil: the defaults

	state   framingState
	scanned uint32 // bytes of an incomplete head, line or trailer that were looked at
	left    int64  // bytes of the content or chunk that are still to arrive
	request Request
	err     error // the rule that was broken
}

type framingState uint8

const (
	inHead framingState = iota
	inContent
	inChunkLine
	inChunk
	inChunkEnd
	inTrailer
	upgraded
)

const (
	maxChunkLine = 1 << 10 // bytes of a chunk's size and extensions
	maxTrailer   = 4 << 10 // bytes of a trailer section
)

var (
	errChunkSize = refuse(400, "RFC 9112 section 7.1", "malformed chunk size")
	errChunkExt  = refuse(400, "RFC 9112 section 7.1.1", "malformed chunk extension")
	errChunkLine = refuse(400, "RFC 9112 section 7.1.1",
		fmt.Sprintf("chunk extensions over the limit of %d bytes", maxChunkLine))
	errChunkEnd = refuse(400, "RFC 9112 section 7.1", "chunk does not end with CR LF")
	errTrailer  = refuse(400, "RFC 9110 section 6.5.1", "field is not allowed in a trailer")
)

// Next returns how many bytes at the beginning of src may be passed on: heads, chunk lines and
// trailers that are complete and keep the rules of ParseRequest, and content as far as it is there,
// but never more than the rest of one request. What is left of src must be given again, with more
// behind it unless it begins another request. An error is an *Error: src begins with what broke the
// rule. The error stays.
//
// Behind the head of an opening handshake Next lets everything through, because nothing that
// follows is a request: the server that answers the handshake must take the connection over or
// close it.
func (f *Framing) Next(src []byte) (n int, err error) {
	for n < len(src) && f.err == nil {
		var k int
		if k, f.err = f.step(src[n:]); k == 0 {
			break
		}
		if n += k; f.state == inHead {
			break
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, f.err
}

// Between reports whether what Next has let through ends with a whole request, so that a head
// follows.
func (f *Framing) Between() bool { return f.state == inHead }

// step is Next for one head, line or run of content.
func (f *Framing) step(src []byte) (n int, err error) {
	switch f.state {
	case inHead:
		n, err = ParseRequest(src, &f.scanned, &f.request, f.Limits)
		if n > 0 {
			f.enter(f.afterHead())
		}
	case inContent:
		n = f.content(src, inHead)
	case inChunkLine:
		n, err = f.chunkLine(src)
	case inChunk:
		n = f.content(src, inChunkEnd)
	case inChunkEnd:
		n, err = f.chunkEnd(src)
	case inTrailer:
		n, err = f.trailer(src)
	case upgraded:
		n = len(src)
	}
	return n, err
}

// enter changes the state.
func (f *Framing) enter(s framingState) { f.state, f.scanned = s, 0 }

// afterHead returns the state that follows a head.
func (f *Framing) afterHead() framingState {
	r := &f.request
	f.left = r.Length
	switch {
	case r.IsUpgrade():
		return upgraded
	case r.Length == Chunked:
		return inChunkLine
	case r.Length > 0:
		return inContent
	}
	return inHead
}

// content returns how much of src belongs to the content or chunk. then is the state that follows
// it.
func (f *Framing) content(src []byte, then framingState) int {
	n := min(int64(len(src)), f.left)
	if f.left -= n; f.left == 0 {
		f.enter(then)
	}
	return int(n)
}

// chunkLine parses the size of a chunk, and checks its extensions.
func (f *Framing) chunkLine(src []byte) (n int, err error) {
	i := bytes.IndexByte(src[f.scanned:], '\n')
	if i < 0 {
		f.scanned = uint32(len(src))
		if len(src) > maxChunkLine {
			return 0, errChunkLine
		}
		return 0, nil
	}
	n = int(f.scanned) + i + 1
	line, ok := bytes.CutSuffix(src[:n], crlf)
	if !ok {
		return 0, errEnding
	}
	size, ext, extended := bytes.Cut(line, semicolon)
	switch f.left, ok = parseHex(size); {
	case n > maxChunkLine:
		return 0, errChunkLine
	case !ok:
		return 0, errChunkSize
	case extended && !isValue(ext):
		return 0, errChunkExt
	case f.left == 0:
		f.enter(inTrailer)
	default:
		f.enter(inChunk)
	}
	return n, nil
}

var crlf = []byte("\r\n")

// chunkEnd checks the end of a chunk.
func (f *Framing) chunkEnd(src []byte) (n int, err error) {
	if !bytes.HasPrefix(src, crlf[:min(len(src), 2)]) {
		return 0, errChunkEnd
	}
	if len(src) < 2 {
		return 0, nil
	}
	f.enter(inChunkLine)
	return 2, nil
}

// trailer checks the fields behind the last chunk, and the empty line that ends them.
func (f *Framing) trailer(src []byte) (n int, err error) {
	l := limitsOf(f.Limits)
	l.line, l.size = math.MaxInt32, maxTrailer
	n, err = headEnd(src, &f.scanned, l)
	if n == 0 || err != nil {
		return 0, err
	}
	count := 0
	for rest := src[:n-2]; len(rest) > 0; {
		name, k, err := cutField(rest)
		if err != nil {
			return 0, err
		}
		rest = rest[k:]
		for _, forbidden := range notInTrailers {
			if equalFold(name, forbidden) {
				return 0, errTrailer
			}
		}
		if count++; count > l.fields {
			return 0, l.fieldsError()
		}
	}
	f.enter(inHead)
	return n, nil
}

// notInTrailers has fields that must be known before the content: for framing, routing,
// authentication, or how to read it (RFC 9110 section 6.5.1).
var notInTrailers = [...]string{
	"Transfer-Encoding", "Content-Length", "Host", "Connection", "Keep-Alive", "Upgrade", "Trailer", "TE",
	"Expect", "Range", "Max-Forwards", "Cache-Control", "Pragma", "Authorization", "Proxy-Authorization",
	"Proxy-Connection", "Cookie", "Origin", "Content-Type", "Content-Encoding", "Content-Range",
}

// parseHex parses the size of a chunk: hexadecimal digits, and nothing else, for less than 2 to the
// power of 63.
func parseHex(b []byte) (n int64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case lower(c) >= 'a' && lower(c) <= 'f':
			c = lower(c) - 'a' + 10
		default:
			return 0, false
		}
		if n > math.MaxInt64>>4 {
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, len(b) > 0 && len(b) <= 16
}

// parseLength parses the value of a Content-Length: digits, and nothing else, for less than 2 to
// the power of 63.
func parseLength(value []byte) (n int64, err error) {
	for _, c := range value {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, errLength
		}
		n = n*10 + int64(c-'0')
	}
	if len(value) == 0 {
		return 0, errLength
	}
	return n, nil
}

// checkCoding accepts the one Transfer-Encoding that we can read. It distinguishes those that leave
// open where the message ends from those that are merely unknown.
func checkCoding(value []byte) error {
	if equalFold(value, "chunked") {
		return nil
	}
	chunked, last := 0, false
	for rest := value; rest != nil; {
		var coding []byte
		coding, rest, _ = bytes.Cut(rest, comma)
		if last = equalFold(trim(coding), "chunked"); last {
			chunked++
		}
	}
	if !last || chunked > 1 {
		return errCodings
	}
	return errCoding
}
