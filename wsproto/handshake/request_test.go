package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 section 1.3

// request returns a good opening handshake with changes: "Name: value" replaces or adds a field,
// "-Name" removes it.
func request(changes ...string) string {
	line := "GET /chat?room=1 HTTP/1.1"
	fields := []string{"Host: example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13"}
	for _, c := range changes {
		if rest, ok := strings.CutPrefix(c, "line "); ok {
			line = rest
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c, "-"), "+"), ":")
		if c[0] != '+' {
			kept := fields[:0]
			for _, f := range fields {
				if !strings.HasPrefix(strings.ToLower(f), strings.ToLower(name)+":") {
					kept = append(kept, f)
				}
			}
			fields = kept
		}
		if c[0] != '-' {
			fields = append(fields, strings.TrimPrefix(c, "+"))
		}
	}
	return line + "\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

// judge parses and checks a handshake as a server with these origins does.
func judge(text string, origins []string) (r Request, key []byte, err error) {
	var scanned uint32
	n, err := ParseRequest([]byte(text), &scanned, &r, nil)
	if err == nil && n == 0 {
		err = errors.New("incomplete")
	}
	if err == nil {
		key, err = r.CheckUpgrade()
	}
	if err == nil {
		err = r.CheckOrigin(origins)
	}
	if err == nil {
		_, err = r.Subprotocol([]string{"chat", "superchat"})
	}
	return r, key, err
}

type refusal struct {
	name    string
	text    string
	status  int
	section string
}

func (c refusal) run(t *testing.T) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		_, _, err := judge(c.text, nil)
		var h *Error
		if !errors.As(err, &h) || h.Status != c.status || !strings.Contains(h.Section, c.section) {
			t.Fatalf("%v; want status %d and %s", err, c.status, c.section)
		}
	})
}

func TestUpgradeAccepted(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"plain", request()},
		{"other cases of letters", request("uPGRADE: WebSocket", "connection: UPGRADE")},
		{"lists over several lines", request("Upgrade: foo", "+Upgrade: bar, websocket", "Connection: a",
			"+Connection: b ,\tupgrade")},
		{"other protocols", request("Upgrade: h2c, TLS/1.0, websocket")},
		{"empty elements", request("Connection: , ,upgrade,")},
		{"space around values", request("Host: \t example.com \t")},
		{"no space behind the colon", request("Host:example.com:8080")},
		{"same origin", request("Origin: http://EXAMPLE.com")},
		{"same origin, default port", request("Origin: https://example.com:443")},
		{"subprotocols", request("Sec-WebSocket-Protocol: foo, chat")},
		{"bytes above 127 in a value", request("User-Agent: caf\xc3\xa9")},
		{"Content-Length: 0", request("Content-Length: 0")},
		{"Content-Length: 00", request("Content-Length: 00")},
		{"absolute form", request("line GET http://example.com/chat?room=1 HTTP/1.1")},
		{"absolute form, other letters", request("line GET HTTP://EXAMPLE.com/chat?room=1 HTTP/1.1")},
		{"absolute form, default port", request("line GET https://example.com:443/chat?room=1 HTTP/1.1")},
		{"absolute form of a WebSocket", request("line GET wss://example.com/chat?room=1 HTTP/1.1",
			"Host: example.com:443")},
		{"empty line first", "\r\n" + request()},
		{"unused bits of the key are not 0", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==")},
		{"empty Host", request("Host:")},
		{"empty subprotocols", request("Sec-WebSocket-Protocol: ,chat,,")},
		{"no subprotocol", request("Sec-WebSocket-Protocol:")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, key, err := judge(c.text, nil)
			if err != nil || string(key[:21]) != sampleKey[:21] || string(r.Path) != "/chat" ||
				string(r.Query) != "room=1" {
				t.Fatalf("%v, key %q, path %q, query %q", err, key, r.Path, r.Query)
			}
		})
	}
}

func TestUpgradeRefusesOtherMethods(t *testing.T) {
	refusal{"POST", request("line POST / HTTP/1.1"), 405, "4.1"}.run(t)
	refusal{"no token", request("line G(T / HTTP/1.1"), 400, "9.1"}.run(t)
	refusal{"lower case", request("line get / HTTP/1.1"), 405, "4.1"}.run(t)
}

func TestUpgradeRefusesOtherVersionsOfHTTP(t *testing.T) {
	refusal{"1.0", request("line GET / HTTP/1.0"), 505, "4.1"}.run(t)
	refusal{"2.0", request("line GET / HTTP/2.0"), 505, "2.3"}.run(t)
	refusal{"none", request("line GET /"), 400, "section 3"}.run(t)
	refusal{"another protocol", request("line GET / ICAP/1.1"), 400, "section 3"}.run(t)
	refusal{"a PROXY header", request("line PROXY TCP4 192.0.2.1 192.0.2.2 1 2"), 400, "proxy-protocol"}.run(t)
	refusal{"a PROXY header of version 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", 400, "proxy-protocol"}.run(t)
	refusal{"no minor version", request("line GET / HTTP/1"), 400, "section 3"}.run(t)
	refusal{"no point", request("line GET / HTTP/1x1"), 400, "section 3"}.run(t)
	refusal{"two digits", request("line GET / HTTP/1.10"), 400, "section 3"}.run(t)
}

func TestUpgradeRefusesOtherTargetForms(t *testing.T) {
	refusal{"absolute with another host", request("line GET http://example.org/ HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"absolute with another port", request("line GET http://example.com:443/ HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"absolute without a host", request("line GET http:///chat HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"absolute with an empty Host", request("line GET http://example.com/ HTTP/1.1", "Host:"), 400,
		"3.2"}.run(t)
	refusal{"absolute with a user", request("line GET http://u@example.com/ HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"absolute of another scheme", request("line GET ftp://example.com/ HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"absolute without slashes", request("line GET http:example.com HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"asterisk", request("line GET * HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"empty", request("line GET  HTTP/1.1"), 400, "3"}.run(t)
	refusal{"fragment", request("line GET /a#b HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"space", request("line GET /a b HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"control character", request("line GET /a\x01 HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"DEL", request("line GET /\x7f HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"byte above 127", request("line GET /\xff HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"space before the method", request("line  GET / HTTP/1.1"), 400, "section 3"}.run(t)
}

func TestUpgradeRefusesBareLF(t *testing.T) {
	refusal{"request line", strings.Replace(request(), "HTTP/1.1\r\n", "HTTP/1.1\n", 1), 400, "2.2"}.run(t)
	refusal{"field", strings.Replace(request(), "example.com\r\n", "example.com\n", 1), 400, "2.2"}.run(t)
	refusal{"end", strings.TrimSuffix(request(), "\r\n") + "\n", 400, "2.2"}.run(t)
	refusal{"bare CR", request("X: a\rb"), 400, "5.5"}.run(t)
	refusal{"first of all", "\n" + request(), 400, "2.2"}.run(t)
	refusal{"two empty lines first", "\r\n\r\n" + request(), 400, "section 3"}.run(t)
}

func TestUpgradeRefusesFolding(t *testing.T) {
	refusal{"space", request("X: a\r\n b"), 400, "5.2"}.run(t)
	refusal{"tab", request("X: a\r\n\tb"), 400, "5.2"}.run(t)
	refusal{"first field", strings.Replace(request(), "\r\nHost", "\r\n Host", 1), 400, "5.2"}.run(t)
}

func TestUpgradeRefusesControlCharacters(t *testing.T) {
	for _, c := range []byte{0, 1, 8, 0x0B, 0x1F, 0x7F} {
		refusal{fmt.Sprintf("value %#x", c), request("X: a" + string(c) + "b"), 400, "5.5"}.run(t)
		refusal{fmt.Sprintf("name %#x", c), request("X" + string(c) + ": b"), 400, "5.1"}.run(t)
	}
}

func TestUpgradeRefusesSpaceBeforeColon(t *testing.T) {
	refusal{"space", request("+Host : example.com"), 400, "5.1"}.run(t)
	refusal{"tab", request("+X\t: a"), 400, "5.1"}.run(t)
	refusal{"no colon", request("+nonsense"), 400, "5.1"}.run(t)
	refusal{"no name", request("+: a"), 400, "5.1"}.run(t)
}

func TestUpgradeWantsOneHost(t *testing.T) {
	refusal{"none", request("-Host"), 400, "3.2"}.run(t)
	refusal{"two", request("+Host: example.com"), 400, "3.2"}.run(t)
	refusal{"empty, with an origin", request("Host:", "Origin: http://"), 403, "10.2"}.run(t)
	refusal{"malformed", request("Host: a b"), 400, "7.2"}.run(t)
	refusal{"with a path", request("Host: a/b"), 400, "7.2"}.run(t)
}

func TestUpgradeWantsOneKeyOf16Bytes(t *testing.T) {
	refusal{"none", request("-Sec-WebSocket-Key"), 400, "4.2.1"}.run(t)
	refusal{"two", request("+Sec-WebSocket-Key: " + sampleKey), 400, "4.2.1"}.run(t)
	refusal{"15 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), 400, "4.2.1"}.run(t)
	refusal{"17 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="), 400, "4.2.1"}.run(t)
	refusal{"32 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 400, "4.2.1"}.run(t)
	refusal{"18 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA"), 400, "4.2.1"}.run(t)
	refusal{"not base64", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ*=="), 400, "4.2.1"}.run(t)
	refusal{"three padding signs", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ==="), 400, "4.2.1"}.run(t)
	refusal{"one padding sign", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA="), 400, "4.2.1"}.run(t)
	refusal{"base64 for URLs", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-=="), 400, "4.2.1"}.run(t)
	refusal{"no padding", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), 400, "4.2.1"}.run(t)
}

func TestUpgradeWantsVersion13(t *testing.T) {
	for _, v := range []string{"-Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13, 8",
		"Sec-WebSocket-Version: 013", "+Sec-WebSocket-Version: 13"} {
		refusal{v, request(v), 426, "4.4"}.run(t)
	}
	b, err := AppendHTTP(nil, 426, nil, "", true)
	if err != nil || !strings.Contains(string(b), "\r\nSec-WebSocket-Version: 13\r\n") {
		t.Fatalf("426 must tell the version: %q, %v", b, err)
	}
}

func TestUpgradeRefusesBody(t *testing.T) {
	refusal{"length", request("Content-Length: 5"), 400, "4.1"}.run(t)
	refusal{"length 0 twice", request("Content-Length: 0", "+Content-Length: 0"), 400, "6.3"}.run(t)
	refusal{"length 0 and chunked", request("Content-Length: 0", "Transfer-Encoding: chunked"), 400, "6.1"}.run(t)
	refusal{"chunked", request("Transfer-Encoding: chunked"), 400, "4.1"}.run(t)
}

func TestUpgradeWantsTokensInLists(t *testing.T) {
	refusal{"upgrade of something else", request("Upgrade: websockets"), 426, "4.2.1"}.run(t)
	refusal{"no Upgrade", request("-Upgrade"), 426, "4.2.1"}.run(t)
	refusal{"no upgrade in Connection", request("Connection: keep-alive, upgraded"), 400, "4.2.1"}.run(t)
	refusal{"no token in Connection", request("Connection: keep alive, upgrade"), 400, "4.2.1"}.run(t)
	refusal{"no token behind the one", request("Connection: upgrade, \x80"), 400, "4.2.1"}.run(t)
	refusal{"version in Connection", request("Connection: a/1, upgrade"), 400, "4.2.1"}.run(t)
	refusal{"no token in another line", request("+Connection: a;b"), 400, "4.2.1"}.run(t)
	refusal{"no token in Upgrade", request("Upgrade: websocket, a b"), 426, "4.2.1"}.run(t)
	refusal{"no version in Upgrade", request("Upgrade: h2c/, websocket"), 426, "4.2.1"}.run(t)
	refusal{"websocket in another field", request("-Upgrade", "X-Upgrade: websocket"), 426, "4.2.1"}.run(t)
	refusal{"upgrade in another field", request("Connection: close", "X-Connection: upgrade"), 400, "4.2.1"}.run(t)
	refusal{"Kelvin sign", request("Upgrade: websoc\u212Aet"), 426, "4.2.1"}.run(t)
}

func TestHandshakeLimits(t *testing.T) {
	l := headLimits{line: 100, size: 1000, fields: 10}
	for _, c := range []struct {
		name, text string
		status     int
		limit      string
	}{
		{"request line", request("line GET /" + strings.Repeat("a", 100) + " HTTP/1.1"), 414, "100"},
		{"request line without an end", "GET /" + strings.Repeat("a", 500), 414, "100"},
		{"header", request("X: " + strings.Repeat("a", 1000)), 431, "1000"},
		{"header without an end", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 1500), 431, "1000"},
		{"fields", request(strings.Split(strings.Repeat("+A: b\n", 6), "\n")[:6]...), 431, "10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			var scanned uint32
			_, err := parseRequest([]byte(c.text), &scanned, &r, l)
			var h *Error
			if !errors.As(err, &h) || h.Status != c.status || !strings.Contains(h.Error(), c.limit) {
				t.Fatalf("%v, want status %d and the limit %s", err, c.status, c.limit)
			}
		})
	}
}

// TestHandshakeLimitsAreNotLower than they say.
func TestHandshakeLimitsAreNotLower(t *testing.T) {
	text := request("X: " + strings.Repeat("a", 100))
	line := strings.IndexByte(text, '\n') + 1
	fields := strings.Count(text, "\r\n") - 2
	for _, c := range []struct {
		name string
		l    headLimits
		text string
		n    int
	}{
		{"all at their limit", headLimits{line: line, size: len(text), fields: fields}, text, len(text)},
		{"the line has not come to its end", headLimits{line: line, size: 1000, fields: fields}, text[:line-1], 0},
		{"the header has not come to its end", headLimits{line: line, size: len(text) - 1, fields: fields},
			text[:len(text)-1], 0},
	} {
		var r Request
		var scanned uint32
		if n, err := parseRequest([]byte(c.text), &scanned, &r, c.l); n != c.n || err != nil {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}

// TestRequestTarget: what is in a target, and in a request of HTTP/1.0, which needs no Host.
func TestRequestTarget(t *testing.T) {
	for _, c := range []struct {
		name, text, path, query, host string
	}{
		{"origin form", "GET /a?b?c HTTP/1.1\r\nHost: h", "/a", "b?c", "h"},
		{"absolute form", "GET http://h/a?b HTTP/1.1\r\nHost: h", "/a", "b", "h"},
		{"no path", "GET http://h HTTP/1.1\r\nHost: h", "/", "", "h"},
		{"a query without a path", "GET http://h?b/c HTTP/1.1\r\nHost: h", "/", "b/c", "h"},
		{"a URL in the query", "GET /?u=http://b/ HTTP/1.1\r\nHost: h", "/", "u=http://b/", "h"},
		{"two slashes", "GET //b/c HTTP/1.1\r\nHost: h", "//b/c", "", "h"},
		{"the target's host counts", "GET http://H:80/ HTTP/1.1\r\nHost: h", "/", "", "H:80"},
		{"IPv6", "GET ws://[::1]:81/ HTTP/1.1\r\nHost: [::1]:81", "/", "", "[::1]:81"},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: h", "*", "", "h"},
		{"HTTP/1.0", "GET /a HTTP/1.0\r\nHost: h", "/a", "", "h"},
		{"HTTP/1.0 without Host", "GET /a HTTP/1.0", "/a", "", ""},
		{"HTTP/1.0 in absolute form", "GET http://h/a HTTP/1.0", "/a", "", "h"},
	} {
		var r Request
		n, err := ParseRequest([]byte(c.text+"\r\n\r\n"), nil, &r, nil)
		if n == 0 || err != nil || string(r.Path) != c.path || string(r.Query) != c.query ||
			string(r.Host) != c.host || r.HTTP10 != strings.Contains(c.text, "HTTP/1.0") {
			t.Errorf("%s: %v, path %q, query %q, host %q, HTTP/1.0: %v", c.name, err, r.Path, r.Query, r.Host, r.HTTP10)
		}
	}
}

// TestIsValue has each byte at each place of eight, and behind them.
func TestIsValue(t *testing.T) {
	for c := range 256 {
		want := c == '\t' || c >= ' ' && c != 0x7F
		for i := range 20 {
			b := []byte(strings.Repeat("v", 20))
			if b[i] = byte(c); isValue(b) != want {
				t.Errorf("%q: %v", b, !want)
			}
			if b[(i+9)%len(b)] = '\t'; isValue(b) != want {
				t.Errorf("%q: %v", b, !want)
			}
		}
	}
}

func TestKnownFields(t *testing.T) {
	for k := other + 1; k < knownFields; k++ {
		name := knownNames[k]
		for _, name := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := knownField([]byte(name)); got != k {
				t.Errorf("%s: %d, want %d", name, got, k)
			}
		}
		for _, name := range []string{name[1:], "x" + name[1:], name + "x"} {
			if got := knownField([]byte(name)); got != other {
				t.Errorf("%s: %s", name, knownNames[got])
			}
		}
	}
}

// TestEqualFold: letters of ASCII have two cases, and nothing else has.
func TestEqualFold(t *testing.T) {
	for x := range 256 {
		for y := range 256 {
			isLetter := x|0x20 >= 'a' && x|0x20 <= 'z'
			want := x == y || isLetter && x^0x20 == y
			if got := equalFold([]byte{byte(x)}, []byte{byte(y)}); got != want {
				t.Errorf("%#x and %#x: %v", x, y, got)
			}
		}
	}
	if equalFold([]byte("ab"), "a") || equalFold([]byte("a"), "ab") {
		t.Error("a part is equal")
	}
}

// TestDripFedRequestIsLinear (CVE-2023-43669): what was looked at before is not looked at again,
// but for the end of a line. It is overwritten with what would be refused.
func TestDripFedRequestIsLinear(t *testing.T) {
	text := []byte(request("X: " + strings.Repeat("a", 7000)))
	var r Request
	var scanned uint32
	for i := 1; i < len(text); i++ {
		seen := bytes.Clone(text[:i])
		for k := range int(scanned) - 3 {
			seen[k] = '\n'
		}
		if n, err := ParseRequest(seen, &scanned, &r, nil); n != 0 || err != nil || int(scanned) != i {
			t.Fatalf("after %d of %d bytes: %d, %v, %d are scanned", i, len(text), n, err, scanned)
		}
	}
	if n, err := ParseRequest(text, &scanned, &r, nil); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
}

func TestAcceptKeyOfTheRFC(t *testing.T) {
	if got := string(appendAccept(nil, []byte(sampleKey))); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatal(got)
	}
}

func TestLimitsOf(t *testing.T) {
	const off = math.MaxInt32
	for _, test := range []struct {
		name   string
		limits *wsproto.Limits
		want   headLimits
	}{
		{name: "nil", want: headLimits{line: 8 << 10, size: 16 << 10, fields: 100}},
		{name: "defaults", limits: &wsproto.Limits{}, want: headLimits{line: 8 << 10, size: 16 << 10, fields: 100}},
		{name: "filled in", limits: new(wsproto.Limits{}.WithDefaults()),
			want: headLimits{line: 8 << 10, size: 16 << 10, fields: 100}},
		{name: "large", limits: &wsproto.Limits{MaxHeader: 64 << 10, MaxHeaderFields: 7},
			want: headLimits{line: 32 << 10, size: 64 << 10, fields: 7}},
		{name: "small", limits: &wsproto.Limits{MaxHeader: 1000},
			want: headLimits{line: 8 << 10, size: 1000, fields: 100}},
		{name: "more than positions have bits", limits: &wsproto.Limits{MaxHeader: math.MaxInt,
			MaxHeaderFields: math.MaxInt},
			want: headLimits{line: off / 2, size: off, fields: off}},
		{name: "off", limits: &wsproto.Limits{MaxHeader: -1, MaxHeaderFields: -1},
			want: headLimits{line: off / 2, size: off, fields: off}},
	} {
		if got := limitsOf(test.limits); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
