package wsproto

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 section 1.3

// request is a good opening handshake, with changes: "Name: value" replaces or adds a field, "-Name" removes it.
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

// judge parses and checks a handshake as a server with these subprotocols and origins does.
func judge(text string, origins []string) (r Request, key []byte, err error) {
	var scanned uint32
	n, err := ParseRequest([]byte(text), &scanned, &r, Limits{})
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
		var h *HandshakeError
		if !errors.As(err, &h) || h.Status != c.status || !strings.Contains(h.Section, c.section) {
			t.Fatalf("%v; want status %d and %s", err, c.status, c.section)
		}
	})
}

func TestUpgradeAccepted(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"plain", request()},
		{"other cases of letters", request("uPGRADE: WebSocket", "connection: UPGRADE")},
		{"lists over several lines", request("Upgrade: foo", "+Upgrade: bar, websocket", "Connection: a", "+Connection: b ,\tupgrade")},
		{"space around values", request("Host: \t example.com \t")},
		{"no space behind the colon", request("Host:example.com:8080")},
		{"same origin", request("Origin: http://EXAMPLE.com")},
		{"same origin, default port", request("Origin: https://example.com:443")},
		{"subprotocols", request("Sec-WebSocket-Protocol: foo, chat")},
		{"bytes above 127 in a value", request("User-Agent: caf\xc3\xa9")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, key, err := judge(c.text, nil)
			if err != nil || string(key) != sampleKey || string(r.Path) != "/chat" || string(r.Query) != "room=1" {
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
	refusal{"1.0", request("line GET / HTTP/1.0"), 505, "2.3"}.run(t)
	refusal{"2.0", request("line GET / HTTP/2.0"), 505, "2.3"}.run(t)
	refusal{"none", request("line GET /"), 400, "section 3"}.run(t)
	refusal{"another protocol", request("line GET / ICAP/1.1"), 400, "section 3"}.run(t)
}

func TestUpgradeRefusesOtherTargetForms(t *testing.T) {
	refusal{"absolute", request("line GET http://example.com/ HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"asterisk", request("line GET * HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"empty", request("line GET  HTTP/1.1"), 400, "3"}.run(t)
	refusal{"fragment", request("line GET /a#b HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"space", request("line GET /a b HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"control character", request("line GET /a\x01 HTTP/1.1"), 400, "3.2"}.run(t)
	refusal{"byte above 127", request("line GET /\xff HTTP/1.1"), 400, "3.2"}.run(t)
}

func TestUpgradeRefusesBareLF(t *testing.T) {
	refusal{"request line", strings.Replace(request(), "HTTP/1.1\r\n", "HTTP/1.1\n", 1), 400, "2.2"}.run(t)
	refusal{"field", strings.Replace(request(), "example.com\r\n", "example.com\n", 1), 400, "2.2"}.run(t)
	refusal{"end", strings.TrimSuffix(request(), "\r\n") + "\n", 400, "2.2"}.run(t)
	refusal{"bare CR", request("X: a\rb"), 400, "5.5"}.run(t)
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
	refusal{"empty", request("Host:"), 400, "7.2"}.run(t)
	refusal{"malformed", request("Host: a b"), 400, "7.2"}.run(t)
	refusal{"with a path", request("Host: a/b"), 400, "7.2"}.run(t)
}

func TestUpgradeWantsOneKeyOf16Bytes(t *testing.T) {
	refusal{"none", request("-Sec-WebSocket-Key"), 400, "4.2.1"}.run(t)
	refusal{"two", request("+Sec-WebSocket-Key: " + sampleKey), 400, "4.2.1"}.run(t)
	refusal{"15 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), 400, "4.2.1"}.run(t)
	refusal{"17 bytes", request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="), 400, "4.2.1"}.run(t)
	refusal{"not base64", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ*=="), 400, "4.2.1"}.run(t)
	refusal{"unused bits are not 0", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), 400, "4.2.1"}.run(t)
	refusal{"no padding", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), 400, "4.2.1"}.run(t)
}

func TestUpgradeWantsVersion13(t *testing.T) {
	for _, v := range []string{"-Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13, 8",
		"Sec-WebSocket-Version: 013", "+Sec-WebSocket-Version: 13"} {
		refusal{v, request(v), 426, "4.4"}.run(t)
	}
	b, err := AppendHTTP(nil, 426, "text/plain", nil, nil, true)
	if err != nil || !strings.Contains(string(b), "\r\nSec-WebSocket-Version: 13\r\n") {
		t.Fatalf("426 must tell the version: %q, %v", b, err)
	}
}

func TestUpgradeRefusesBody(t *testing.T) {
	refusal{"length", request("Content-Length: 5"), 400, "4.1"}.run(t)
	refusal{"length 0", request("Content-Length: 0"), 400, "4.1"}.run(t)
	refusal{"chunked", request("Transfer-Encoding: chunked"), 501, "6.1"}.run(t)
}

// TestRequestSmuggling: nothing that two servers could read in two ways (GHSA-mfx4-hv73-q22v).
func TestRequestSmuggling(t *testing.T) {
	refusal{"two lengths", request("Content-Length: 5", "+Content-Length: 6"), 400, "6.3"}.run(t)
	refusal{"the same length twice", request("Content-Length: 5", "+Content-Length: 5"), 400, "6.3"}.run(t)
	refusal{"list of lengths", request("Content-Length: 5, 5"), 400, "6.3"}.run(t)
	refusal{"signed length", request("Content-Length: +5"), 400, "6.3"}.run(t)
	refusal{"hex length", request("Content-Length: 0x5"), 400, "6.3"}.run(t)
	refusal{"empty length", request("Content-Length:"), 400, "6.3"}.run(t)
	refusal{"length and coding", request("Content-Length: 5", "Transfer-Encoding: chunked"), 400, "6.1"}.run(t)
	refusal{"unknown coding", request("Transfer-Encoding: xchunked"), 501, "6.1"}.run(t)
}

func TestUpgradeWantsTokensInLists(t *testing.T) {
	refusal{"upgrade of something else", request("Upgrade: websockets"), 426, "4.2.1"}.run(t)
	refusal{"no Upgrade", request("-Upgrade"), 426, "4.2.1"}.run(t)
	refusal{"no upgrade in Connection", request("Connection: keep-alive, upgraded"), 400, "4.2.1"}.run(t)
	refusal{"Kelvin sign", request("Upgrade: websoc\u212Aet"), 426, "4.2.1"}.run(t)
}

func TestHandshakeLimits(t *testing.T) {
	l := Limits{Line: 100, Header: 1000, Fields: 10}
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
			_, err := ParseRequest([]byte(c.text), &scanned, &r, l)
			var h *HandshakeError
			if !errors.As(err, &h) || h.Status != c.status || !strings.Contains(h.Error(), c.limit) {
				t.Fatalf("%v, want status %d and the limit %s", err, c.status, c.limit)
			}
		})
	}
}

// TestDripFedRequestIsLinear counts the bytes that are looked for a line's end (CVE-2023-43669).
func TestDripFedRequestIsLinear(t *testing.T) {
	text := []byte(request("X: " + strings.Repeat("a", 10000)))
	var r Request
	var scanned uint32
	looked := 0
	for i := 1; i <= len(text); i++ {
		looked += i - int(scanned)
		n, err := ParseRequest(text[:i], &scanned, &r, Limits{})
		if err != nil || (n > 0) != (i == len(text)) {
			t.Fatalf("after %d of %d bytes: %d, %v", i, len(text), n, err)
		}
	}
	if looked > 3*len(text) {
		t.Fatalf("%d bytes looked at for a head of %d", looked, len(text))
	}
}

// TestResponseSplitting: no value of a response may end its line (CVE-2026-1527).
func TestResponseSplitting(t *testing.T) {
	for _, f := range []Field{{"X", "a\r\nSet-Cookie: b"}, {"X", "a\nb"}, {"X", "a\x00b"}, {"X\r\nY", "a"}, {"X Y", "a"}, {"", "a"},
		{"Sec-WebSocket-Accept", "x"}, {"upgrade", "x"}, {"Content-Length", "5"}, {"Sec-WebSocket-Extensions", "foo"}} {
		if b, err := AppendResponse(nil, []byte(sampleKey), "", []Field{f}); err == nil || len(b) > 0 {
			t.Errorf("field %q is let through: %q", f, b)
		}
		if b, err := AppendHTTP(nil, 200, "text/plain", []Field{f}, nil, true); err == nil || len(b) > 0 {
			t.Errorf("field %q is let through: %q", f, b)
		}
	}
	if _, err := AppendHTTP(nil, 200, "text/plain\r\nX: y", nil, nil, true); err == nil {
		t.Error("a content type with a line end is let through")
	}
}

// TestOriginPolicy keeps pages of other sites out by default (CVE-2026-22689).
func TestOriginPolicy(t *testing.T) {
	for _, c := range []struct {
		name, host, origin string
		allowed            []string
		ok                 bool
	}{
		{"no browser", "example.com", "", nil, true},
		{"same", "example.com:8080", "http://example.com:8080", nil, true},
		{"same, another case", "Example.com", "https://eXample.COM", nil, true},
		{"default ports", "example.com:80", "http://example.com", nil, true},
		{"another host", "example.com", "https://evil.com", nil, false},
		{"another port", "example.com", "https://example.com:8443", nil, false},
		{"host below", "example.com", "https://a.example.com", nil, false},
		{"host with a tail", "example.com", "https://example.com.evil.com", nil, false},
		{"null", "example.com", "null", nil, false},
		{"null is listed", "example.com", "null", []string{"null"}, true},
		{"another scheme", "example.com", "ftp://example.com", nil, false},
		{"listed", "api.example.com", "https://example.com", []string{"https://example.com"}, true},
		{"list replaces same origin", "example.com", "https://example.com", []string{"https://other.com"}, false},
		{"pattern", "x", "https://a.b.example.com", []string{"https://*.example.com"}, true},
		{"pattern wants a label", "x", "https://.example.com", []string{"https://*.example.com"}, false},
		{"pattern and the bare host", "x", "https://example.com", []string{"https://*.example.com"}, false},
		{"pattern and a path trick", "x", "https://evil.com/.example.com", []string{"https://*.example.com"}, false},
		{"pattern and a port trick", "x", "https://evil.com:1.example.com", []string{"https://*.example.com"}, false},
		{"pattern and userinfo", "x", "https://evil.com@.example.com", []string{"https://*.example.com"}, false},
		{"all", "x", "https://evil.com", []string{"*"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes := []string{"Host: " + c.host}
			if c.origin != "" {
				changes = append(changes, "Origin: "+c.origin)
			}
			_, _, err := judge(request(changes...), c.allowed)
			if (err == nil) != c.ok {
				t.Fatalf("%v, want ok %v", err, c.ok)
			}
			var h *HandshakeError
			if err != nil && (!errors.As(err, &h) || h.Status != 403) {
				t.Fatalf("%v, want status 403", err)
			}
		})
	}
	if _, _, err := judge(request("Origin: http://example.com", "+Origin: http://example.com"), []string{"*"}); err == nil {
		t.Error("two origins are accepted")
	}
}

// TestForwardedFieldsAreNotTrusted: anybody can send them.
func TestForwardedFieldsAreNotTrusted(t *testing.T) {
	_, _, err := judge(request("Origin: https://evil.com", "X-Forwarded-Host: evil.com", "Forwarded: host=evil.com"), nil)
	if err == nil {
		t.Fatal("a forwarding field opened the door")
	}
}

func TestSubprotocol(t *testing.T) {
	server := []string{"v2.chat", "v1.chat"}
	for _, c := range []struct {
		name   string
		offers []string
		want   int
		bad    bool
	}{
		{name: "none", want: -1},
		{name: "no common one", offers: []string{"soap, wamp"}, want: -1},
		{name: "the server's preference counts", offers: []string{"v1.chat, v2.chat"}, want: 0},
		{name: "over several lines", offers: []string{"soap", "v1.chat"}, want: 1},
		{name: "case counts", offers: []string{"V1.CHAT"}, want: -1},
		{name: "not a token", offers: []string{"v1 chat"}, bad: true},
		{name: "empty element", offers: []string{"v1.chat,,soap"}, bad: true},
		{name: "repeated", offers: []string{"v1.chat, v1.chat"}, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var changes []string
			for _, o := range c.offers {
				changes = append(changes, "+Sec-WebSocket-Protocol: "+o)
			}
			var r Request
			var scanned uint32
			if _, err := ParseRequest([]byte(request(changes...)), &scanned, &r, Limits{}); err != nil {
				t.Fatal(err)
			}
			got, err := r.Subprotocol(server)
			if (err != nil) != c.bad || err == nil && got != c.want {
				t.Fatalf("%d, %v", got, err)
			}
		})
	}
}

// TestListsAreParsedInLinearTime (CVE-2021-32640): a head of nothing but commas, within the limits, costs one pass, which
// a quadratic parser would turn into 10^10 steps.
func TestListsAreParsedInLinearTime(t *testing.T) {
	var r Request
	var scanned uint32
	text := request("Connection: "+strings.Repeat(",", 100_000), "+Connection: upgrade", "Upgrade: "+strings.Repeat(" ", 100_000)+"websocket")
	if _, err := ParseRequest([]byte(text), &scanned, &r, Limits{Header: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CheckUpgrade(); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptKeyOfTheRFC(t *testing.T) {
	if got := string(AppendAccept(nil, []byte(sampleKey))); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatal(got)
	}
}

// TestHandshakeAgainstGobwas has gobwas judge our responses, as a client, and the same requests, as a server.
func TestHandshakeAgainstGobwas(t *testing.T) {
	for _, text := range []string{request(), request("-Host"), request("Upgrade: foo"), request("Sec-WebSocket-Version: 8"),
		request("-Sec-WebSocket-Key"), request("line POST / HTTP/1.1"), request("line GET / HTTP/1.0")} {
		_, err := ws.Upgrade(readWriter{strings.NewReader(text), new(bytes.Buffer)})
		_, _, ours := judge(text, nil)
		if (err == nil) != (ours == nil) {
			t.Errorf("gobwas says %v, we say %v, to %q", err, ours, text)
		}
	}
	b, err := AppendResponse(nil, []byte(sampleKey), "chat", []Field{{"X-Server", "myriad"}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "chat" || resp.Header.Get("X-Server") != "myriad" {
		t.Fatalf("%v, %v", resp, err)
	}
}

type readWriter struct {
	r *strings.Reader
	w *bytes.Buffer
}

func (rw readWriter) Read(b []byte) (int, error)  { return rw.r.Read(b) }
func (rw readWriter) Write(b []byte) (int, error) { return rw.w.Write(b) }

// FuzzRequest: no input panics, every split gives the same result, and what we accept net/http reads in the same way.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(request()), uint16(20))
	f.Add([]byte(request("X: y", "Content-Length: 3")), uint16(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		var r, split Request
		var s1, s2 uint32
		n, err := ParseRequest(b, &s1, &r, Limits{})
		m, err2 := ParseRequest(b[:min(int(cut), len(b))], &s2, &split, Limits{})
		if m == 0 && err2 == nil {
			m, err2 = ParseRequest(b, &s2, &split, Limits{})
		}
		if n > 0 && (m != n || err2 != nil) || err != nil && err2 == nil {
			t.Fatalf("whole: %d, %v; split: %d, %v", n, err, m, err2)
		}
		if n == 0 {
			return
		}
		r.CheckUpgrade()
		r.CheckOrigin(nil)
		r.Subprotocol([]string{"chat"})
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:n])))
		if err != nil {
			if strings.Contains(err.Error(), "invalid URI") || strings.Contains(err.Error(), "invalid URL escape") ||
				strings.Contains(err.Error(), "Content-Length") || strings.Contains(err.Error(), "parse") {
				return // net/url and integers have opinions of their own; we hand the target on as it is
			}
			t.Fatalf("accepted here, and not by net/http: %v\n%q", err, b[:n])
		}
		if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || std.Host != string(r.Host) {
			t.Fatalf("net/http reads %s %s %s, we %s %s %s", std.Method, std.RequestURI, std.Host, r.Method, r.Target, r.Host)
		}
	})
}

func TestHandshakeDoesNotAllocate(t *testing.T) {
	text := []byte(request("Sec-WebSocket-Protocol: chat", "Origin: http://example.com"))
	server := []string{"chat"}
	out := make([]byte, 0, 1024)
	var r Request
	if n := testing.AllocsPerRun(1000, func() {
		var scanned uint32
		ParseRequest(text, &scanned, &r, Limits{})
		key, _ := r.CheckUpgrade()
		if r.CheckOrigin(nil) != nil {
			t.Fatal("origin")
		}
		i, _ := r.Subprotocol(server)
		if b, err := AppendResponse(out, key, server[i], nil); err != nil || len(b) == 0 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations per handshake", n)
	}
}

func BenchmarkHandshake(b *testing.B) {
	text := []byte(request("User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Origin: http://example.com", "Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Pragma: no-cache",
		"Cache-Control: no-cache", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	out := make([]byte, 0, 1024)
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		var scanned uint32
		ParseRequest(text, &scanned, &r, Limits{})
		key, err := r.CheckUpgrade()
		if err != nil {
			b.Fatal(err)
		}
		r.CheckOrigin(nil)
		r.Subprotocol(nil)
		AppendResponse(out, key, "", nil)
	}
}
