package handshake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// pass gives a stream to a Framing in pieces of the given size, and returns what it lets through.
func pass(stream []byte, size int) (passed []byte, f Framing, err error) {
	for n, end := 0, 0; end < len(stream); {
		end = min(end+size, len(stream))
		k, err := f.Next(stream[n:end])
		for ; k > 0; k, err = f.Next(stream[n:end]) {
			n += k
		}
		passed = stream[:n]
		if err != nil {
			_, again := f.Next(stream[n:end])
			if again != err {
				return passed, f, fmt.Errorf("first %v, then %v", err, again)
			}
			return passed, f, err
		}
	}
	return passed, f, nil
}

const good = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"

// head returns a POST with further fields.
func head(fields ...string) string {
	return "POST /p HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

// chunked returns a POST with this content.
func chunked(content string) string { return head("Transfer-Encoding: chunked") + content }

func TestFramingLetsGoodRequestsThrough(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"no content", good},
		{"several", good + good + good},
		{"length", head("Content-Length: 5") + "hello" + good},
		{"length 0", head("Content-Length: 0") + good},
		{"length with zeros in front", head("Content-Length: 0005") + "hello" + good},
		{"content that looks like a request", head("Content-Length: 32") + good + good},
		{"chunks", chunked("5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\n") + good},
		{"no chunks", chunked("0\r\n\r\n") + good},
		{"last chunk with zeros", chunked("000\r\n\r\n") + good},
		{"chunk that looks like a request", chunked("20\r\n" + good + "\r\n0\r\n\r\n" + good)},
		{"chunk extensions", chunked("5;a;b=c;d=\"e;f\"\r\nhello\r\n0;last\r\n\r\n") + good},
		{"trailer", chunked("0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n") + good},
		{"trailer of 4 KiB", chunked("0\r\nX: "+strings.Repeat("y", maxTrailer-7)+"\r\n\r\n") + good},
		{"chunked in other letters", head("TRANSFER-encoding: \tCHUNKed ") + "0\r\n\r\n" + good},
		{"an empty line in front of each request",
			"\r\n" + good + "\r\n" + head("Content-Length: 5") + "hello\r\n" + good},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n" + good},
		{"content of HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello" + good},
		{"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n" + good},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + good},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n" + good},
		{"no bytes", ""},
	} {
		for size := 1; size <= len(c.text); size++ {
			passed, f, err := pass([]byte(c.text), size)
			if err != nil || string(passed) != c.text || !f.Between() {
				t.Fatalf("%s, in pieces of %d: %q let through, %v", c.name, size, passed, err)
			}
		}
		if err := compare(t, []byte(c.text)); err != nil {
			t.Fatalf("%s: net/http says %v", c.name, err)
		}
	}
}

// TestFramingGoesRequestByRequest: nothing of the next request is let through with one, and no
// error of the next one is returned.
func TestFramingGoesRequestByRequest(t *testing.T) {
	requests := []string{good, head("Content-Length: 5") + "hello", chunked("5\r\nhello\r\n0\r\n\r\n"), good}
	rest := strings.Join(requests, "") + "nonsense\n"
	var f Framing
	for _, r := range requests {
		if n, err := f.Next([]byte(rest)); err != nil || n != len(r) {
			t.Fatalf("%d bytes of %q are let through, %v", n, rest, err)
		}
		rest = rest[len(r):]
	}
	if _, err := f.Next([]byte(rest)); err == nil {
		t.Fatal("no error")
	}
}

// smuggled has streams that two servers could read in two ways, or that must not be sent. Each is
// behind a good request, which is let through, and in front of another one, which must not be.
var smuggled = []struct {
	name    string
	text    string
	status  int
	section string
}{
	// Where the message ends.
	{"CL.TE", head("Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nX", 400, "6.1"},
	{"TE.CL", head("Transfer-Encoding: chunked", "Content-Length: 3") + "8\r\nSMUGGLED\r\n0\r\n\r\n", 400, "6.1"},
	{"length 0 and chunked", head("Content-Length: 0", "Transfer-Encoding: chunked"), 400, "6.1"},
	{"two lengths", head("Content-Length: 5", "Content-Length: 6") + "hello", 400, "6.3"},
	{"the same length twice", head("Content-Length: 5", "Content-Length: 5") + "hello", 400, "6.3"},
	{"list of lengths", head("Content-Length: 5, 5") + "hello", 400, "6.3"},
	{"length with a plus", head("Content-Length: +5") + "hello", 400, "6.3"},
	{"length with a minus", head("Content-Length: -1"), 400, "6.3"},
	{"length in hex", head("Content-Length: 0x5") + "hello", 400, "6.3"},
	{"length with an underscore", head("Content-Length: 1_0") + "hello", 400, "6.3"},
	{"length with a space", head("Content-Length: 1 0") + "hello", 400, "6.3"},
	{"length 2^63", head("Content-Length: 9223372036854775808"), 400, "6.3"},
	{"length 2^64+5", head("Content-Length: 18446744073709551621") + "hello", 400, "6.3"},
	{"empty length", head("Content-Length:"), 400, "6.3"},
	{"length in other digits", head("Content-Length: \u0665"), 400, "6.3"},
	{"space before the length's colon", head("Content-Length : 5") + "hello", 400, "5.1"},

	// Codings.
	{"TE space before the colon", head("Transfer-Encoding : chunked"), 400, "5.1"},
	{"TE tab before the colon", head("Transfer-Encoding\t: chunked"), 400, "5.1"},
	{"TE folded", head("Transfer-Encoding:", " chunked"), 400, "5.2"},
	{"TE xchunked", head("Transfer-Encoding: xchunked"), 400, "6.3"},
	{"TE chunked, identity", head("Transfer-Encoding: chunked, identity"), 400, "6.3"},
	{"TE identity, chunked", head("Transfer-Encoding: identity, chunked"), 501, "6.1"},
	{"TE identity", head("Transfer-Encoding: identity"), 400, "6.3"},
	{"TE gzip, chunked", head("Transfer-Encoding: gzip, chunked"), 501, "6.1"},
	{"TE chunked, chunked", head("Transfer-Encoding: chunked, chunked"), 400, "6.3"},
	{"TE chunked and an empty element", head("Transfer-Encoding: chunked,"), 400, "6.3"},
	{"TE an empty element and chunked", head("Transfer-Encoding: , chunked"), 501, "6.1"},
	{"TE empty", head("Transfer-Encoding:"), 400, "6.3"},
	{"TE twice", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, "6.3"},
	{"TE chunked and something else", head("Transfer-Encoding: chunked", "Transfer-Encoding: x"), 400, "6.3"},
	{"TE with a vertical tab in front", head("Transfer-Encoding: \x0bchunked"), 400, "5.5"},
	{"TE with a vertical tab behind", head("Transfer-Encoding: chunked\x0b"), 400, "5.5"},
	{"TE with a form feed", head("Transfer-Encoding:\x0cchunked"), 400, "5.5"},
	{"TE with NUL", head("Transfer-Encoding: chunked\x00"), 400, "5.5"},
	{"TE quoted", head("Transfer-Encoding: \"chunked\""), 400, "6.3"},
	{"TE with a parameter", head("Transfer-Encoding: chunked;q=1"), 400, "6.3"},
	{"TE with a byte above 127", head("Transfer-Encoding: \xa0chunked"), 400, "6.3"},
	{"TE behind a bare LF", head("X: y\nTransfer-Encoding: chunked"), 400, "2.2"},
	{"TE behind a bare CR", head("X: y\rTransfer-Encoding: chunked"), 400, "5.5"},
	{"TE behind NUL in the name", head("\x00Transfer-Encoding: chunked"), 400, "5.1"},

	// Lines.
	{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "2.2"},
	{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "2.2"},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "2.2"},
	{"bare CR behind the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "section 3"},
	{"bare CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\r", 400, ""},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "5.5"},
	{"folding with a space", head("X: y", " z"), 400, "5.2"},
	{"folding with a tab", head("X: y", "\tz"), 400, "5.2"},
	{"folding of the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "5.2"},
	{"space before a colon", head("X : y"), 400, "5.1"},
	{"no colon", head("nonsense"), 400, "5.1"},
	{"no name", head(": y"), 400, "5.1"},
	{"NUL in a value", head("X: y\x00z"), 400, "5.5"},
	{"DEL in a value", head("X: y\x7f"), 400, "5.5"},
	{"control character in a name", head("X\x01: y"), 400, "5.1"},
	{"two CR LF in front", "\r\n\r\n" + good, 400, "section 3"},
	{"LF in front", "\n" + good, 400, "2.2"},
	{"space in front", " " + good, 400, "section 3"},

	// Request lines.
	{"HTTP/0.9", "GET /\r\n\r\n", 400, "section 3"},
	{"HTTP/1.0 and chunked", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "6.1"},
	{"HTTP/1.0, two Hosts", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "3.2"},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "2.3"},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "2.3"},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "2.3"},
	{"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, "section 3"},
	{"version with a zero", "GET / HTTP/1.01\r\nHost: a\r\n\r\n", 400, "section 3"},
	{"two spaces in front of the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"two spaces behind the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "section 3"},
	{"tabs", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "section 3"},
	{"method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "9.1"},
	{"absolute form of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"absolute form of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"authority form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "9.3.6"},
	{"CONNECT to a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "9.3.6"},
	{"asterisk form with another method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},
	{"byte above 127 in the target", "GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2"},

	// Host.
	{"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "3.2"},
	{"no fields", "GET / HTTP/1.1\r\n\r\n", 400, "3.2"},
	{"two Hosts", head("Host: b"), 400, "3.2"},
	{"the same Host twice", head("host: a"), 400, "3.2"},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "7.2"},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "7.2"},
	{"Host with an at sign", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "7.2"},

	// Limits.
	{"long request line", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "section 3"},
	{"long head", head("X: " + strings.Repeat("y", 16<<10)), 431, "section 5"},
	{"many fields", head(strings.Split(strings.Repeat("X: y\n", 100), "\n")[:100]...), 431, "section 5"},
}

// smuggledInside has streams that break a rule behind their head, which is let through.
var smuggledInside = []struct {
	name    string
	content string
	status  int
	section string
}{
	{"chunk size with a plus", "+5\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with a minus", "-5\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with an underscore", "1_0\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with a space in front", " 5\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with a space behind", "5 \r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with a space before the extension", "5 ;a\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with a tab", "5\t\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with NUL", "5\x00\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"no chunk size", "\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"extension without a chunk size", ";a\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size that is no number", "hello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size 2^63", "8000000000000000\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size 2^64+5", "10000000000000005\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"chunk size with many zeros", strings.Repeat("0", 16) + "5\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"bare LF behind the chunk size", "5\nhello\r\n0\r\n\r\n", 400, "2.2"},
	{"bare CR in the chunk size", "5\r\r\nhello\r\n0\r\n\r\n", 400, "7.1"},
	{"bare LF behind an extension", "5;a\nhello\r\n0\r\n\r\n", 400, "2.2"},
	{"bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", 400, "7.1.1"},
	{"NUL in an extension", "5;a\x00\r\nhello\r\n0\r\n\r\n", 400, "7.1.1"},
	{"huge extension", "5;" + strings.Repeat("a", 1<<10) + "\r\nhello\r\n0\r\n\r\n", 400, "7.1.1"},
	{"extension without an end", "5;" + strings.Repeat("a", 2<<10), 400, "7.1.1"},
	{"no CR LF behind a chunk", "5\r\nhello0\r\n\r\n", 400, "7.1"},
	{"bare LF behind a chunk", "5\r\nhello\n0\r\n\r\n", 400, "7.1"},
	{"bare CR behind a chunk", "5\r\nhello\r0\r\n\r\n", 400, "7.1"},
	{"chunk that is longer than it says", "5\r\nhello!\r\n0\r\n\r\n", 400, "7.1"},
	{"bare LF behind the last chunk", "0\n\r\n", 400, "2.2"},
	{"bare LF in the place of the trailer", "0\r\n\n", 400, "2.2"},
	{"bare LF in a trailer", "0\r\nX: y\n\r\n", 400, "2.2"},
	{"bare CR in a trailer", "0\r\nX: y\rz\r\n\r\n", 400, "5.5"},
	{"folding in a trailer", "0\r\nX: y\r\n z\r\n\r\n", 400, "5.2"},
	{"space before the colon in a trailer", "0\r\nX : y\r\n\r\n", 400, "5.1"},
	{"trailer that is no field", "0\r\nGET / HTTP/1.1\r\n\r\n", 400, "5.1"},
	{"trailer with Transfer-Encoding", "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "6.5.1"},
	{"trailer with Content-Length", "0\r\ncontent-length: 5\r\n\r\n", 400, "6.5.1"},
	{"trailer with Host", "0\r\nX: y\r\nHost: b\r\n\r\n", 400, "6.5.1"},
	{"trailer with Authorization", "0\r\nAuthorization: Basic x\r\n\r\n", 400, "6.5.1"},
	{"long trailer", "0\r\nX: " + strings.Repeat("y", 4<<10) + "\r\n\r\n", 431, "section 5"},
	{"trailer of many fields", "0\r\n" + strings.Repeat("X: y\r\n", 101) + "\r\n", 431, "section 5"},
}

func TestRequestSmuggling(t *testing.T) {
	for _, c := range smuggled {
		t.Run(c.name, func(t *testing.T) {
			passed, f := refused(t, good+c.text+good, c.status, c.section)
			if passed != good || !f.Between() {
				t.Fatalf("%q was let through", passed)
			}
		})
	}
	for _, c := range smuggledInside {
		t.Run(c.name, func(t *testing.T) {
			before := good + chunked("3\r\nabc\r\n")
			passed, f := refused(t, before+c.content+good, c.status, c.section)
			if len(passed) < len(before) || len(passed) > len(before)+len("5\r\nhello") || f.Between() {
				t.Fatalf("%q was let through", passed)
			}
		})
	}
}

// refused gives a stream whole, and byte by byte, and wants the same error.
func refused(t *testing.T, text string, status int, section string) (string, Framing) {
	t.Helper()
	whole, _, err := pass([]byte(text), len(text))
	passed, f, err1 := pass([]byte(text), 1)
	for _, err := range []error{err, err1} {
		var h *Error
		if !errors.As(err, &h) || h.Status != status || !strings.Contains(h.Section, section) {
			t.Fatalf("%v; want status %d and %s", err, status, section)
		}
	}
	if !bytes.Equal(whole, passed) {
		t.Fatalf("whole, %q is let through; byte by byte %q", whole, passed)
	}
	return string(passed), f
}

// TestFramingBehindAnOpeningHandshake: what follows is frames, or must not be read.
func TestFramingBehindAnOpeningHandshake(t *testing.T) {
	text := good + request() + "\x81\x80 no request \n\n"
	passed, f, err := pass([]byte(text), 7)
	if err != nil || string(passed) != text || f.Between() {
		t.Fatalf("%q, %v", passed, err)
	}
}

// TestFramingIsLinear: a chunk line or trailer that arrives byte by byte is looked at once, as
// heads are.
func TestFramingIsLinear(t *testing.T) {
	for _, text := range []string{chunked("5;" + strings.Repeat("a", 1000) + "\r\n"),
		chunked("0\r\nX: " + strings.Repeat("a", 4000) + "\r\n\r\n")} {
		var f Framing
		n, _ := f.Next([]byte(text))
		f, looked := Framing{}, 0
		for end, done := 1, 0; end <= len(text); end++ {
			looked += end - done - int(f.scanned)
			k, err := f.Next([]byte(text)[done:end])
			if err != nil {
				t.Fatal(err)
			}
			if done += k; end == len(text) && done != n {
				t.Fatalf("%d of %d bytes let through", done, n)
			}
		}
		if looked > 3*len(text) {
			t.Fatalf("%d bytes looked at for %d", looked, len(text))
		}
	}
}

// FuzzFraming: the same is let through whatever the pieces, and net/http reads that as the same
// sequence of requests.
func FuzzFraming(f *testing.F) {
	f.Add([]byte(good+head("Content-Length: 5")+"hello"+good), uint8(7))
	f.Add([]byte(chunked("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")+good), uint8(3))
	f.Add([]byte(request()+"frames"), uint8(1))
	f.Add([]byte("\r\n"+good+"\r\nGET http://a HTTP/1.0\r\n\r\n"+good), uint8(2))
	for _, c := range smuggled {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text+good), uint8(5))
		}
	}
	for _, c := range smuggledInside {
		if len(c.content) < 1000 {
			f.Add([]byte(chunked(c.content)+good), uint8(2))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		passed, fr, err := pass(stream, len(stream)+1)
		again, fr2, err2 := pass(stream, int(size)+1)
		if !bytes.Equal(passed, again) || fr.state != fr2.state || !sameError(err, err2) {
			t.Fatalf("whole: %q, state %d, %v; in pieces: %q, state %d, %v", passed, fr.state, err, again, fr2.state,
				err2)
		}
		if err := compare(t, passed); err != nil && fr.Between() {
			t.Fatalf("%v in what was let through: %q", err, passed)
		}
	})
}

func sameError(a, b error) bool {
	var x, y *Error
	return errors.As(a, &x) == errors.As(b, &y) && (x == nil || x.Status == y.Status)
}

// compare lets net/http and ParseRequest read the same stream, one request after the other.
func compare(t *testing.T, stream []byte) error {
	r := bufio.NewReader(bytes.NewReader(stream))
	for rest := stream; ; {
		if bytes.HasPrefix(rest, crlf) { // nobody passes it on, since net/http need not skip it
			rest = rest[2:]
			r.Discard(2)
		}
		std, err := http.ReadRequest(r)
		if err == io.EOF {
			if len(rest) > 0 {
				t.Fatalf("net/http sees the end in front of %q", rest)
			}
			return nil
		}
		var ours Request
		var scanned uint32
		n, ourErr := ParseRequest(rest, &scanned, &ours, nil)
		if ourErr != nil || n == 0 && err == nil {
			t.Fatalf("a second look at %q: %v", rest, ourErr)
		}
		if err != nil {
			if anOpinion(err) {
				return nil
			}
			return err
		}
		if std.Method != string(ours.Method) || std.RequestURI != string(ours.Target) ||
			std.Host != string(ours.Host) ||
			std.ContentLength != ours.Length {
			t.Fatalf("net/http reads %s %s of %s with %d bytes, we %s %s of %s with %d bytes", std.Method,
				std.RequestURI, std.Host,
				std.ContentLength, ours.Method, ours.Target, ours.Host, ours.Length)
		}
		if ours.IsUpgrade() {
			return nil
		}
		body, err := io.ReadAll(std.Body)
		if err != nil {
			if anOpinion(err) {
				return nil
			}
			return err
		}
		want, end := content(rest[n:], ours.Length)
		if !bytes.Equal(body, want) {
			t.Fatalf("net/http reads the content %q, we %q", body, want)
		}
		rest = rest[n+end:]
	}
}

// content reads what a Framing has let through, in the simplest way, since that is known to be
// correct.
func content(b []byte, length int64) (content []byte, end int) {
	if length != Chunked {
		return b[:length], int(length)
	}
	for {
		line := bytes.IndexByte(b[end:], '\n') + 1
		var size int
		fmt.Sscanf(string(b[end:end+line]), "%x", &size)
		if end += line; size == 0 {
			break
		}
		content = append(content, b[end:end+size]...)
		end += size + 2
	}
	for !bytes.HasPrefix(b[end:], crlf) {
		end += bytes.IndexByte(b[end:], '\n') + 1
	}
	return content, end + 2
}

// anOpinion reports whether net/http refuses a request whose framing is correct. It answers 400
// then, and closes the connection.
func anOpinion(err error) bool {
	for _, text := range []string{
		"invalid URI", "invalid URL escape", "parse ", // of net/url
		"too much non-data", // more chunk extensions than content
		"bad trailer key",   // Trailer: Content-Length
	} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
