package handshake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// TestResponseSplitting: no value of a response may end its line (CVE-2026-1527).
func TestResponseSplitting(t *testing.T) {
	for _, f := range []Field{{"X", "a\r\nSet-Cookie: b"}, {"X", "a\nb"}, {"X", "a\x00b"}, {"X\r\nY", "a"},
		{"X Y", "a"}, {"", "a"},
		{"Sec-WebSocket-Accept", "x"}, {"upgrade", "x"}, {"Content-Length", "5"}, {"Sec-WebSocket-Extensions", "foo"}} {
		if b, err := AppendResponse(nil, []byte(sampleKey), "", nil, []Field{f}); err == nil || len(b) > 0 {
			t.Errorf("field %q is let through: %q", f, b)
		}
		if b, err := AppendHTTP(nil, 200, []Field{f}, "", true); err == nil || len(b) > 0 {
			t.Errorf("field %q is let through: %q", f, b)
		}
	}
	for _, status := range []int{200, 599} {
		if _, err := AppendHTTP(nil, status, nil, "", true); err != nil {
			t.Errorf("status %d: %v", status, err)
		}
	}
	for _, status := range []int{-200, 0, 99, 101, 199, 600, 1000} {
		if b, err := AppendHTTP(nil, status, nil, "", true); err == nil || len(b) > 0 {
			t.Errorf("status %d is let through: %q", status, b)
		}
	}
}

// TestOriginRefusalNamesWhatItCompared: a proxy that replaces the Host field was a riddle.
func TestOriginRefusalNamesWhatItCompared(t *testing.T) {
	for _, c := range []struct{ name, host, origin, want string }{
		{name: "another host", host: "backend:8080", origin: "https://example.com",
			want: `origin is not allowed: "https://example.com" at host "backend:8080"`},
		{name: "no host", origin: "null", want: `origin is not allowed: "null" at host ""`},
		{name: "quoted", host: "a", origin: "\"\xff\t", want: `origin is not allowed: "\"\xff" at host "a"`},
		{name: "long", host: "a", origin: strings.Repeat("b", 8000),
			want: `origin is not allowed: "` + strings.Repeat("b", 200) + `" at host "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := judge(request("Host: "+c.host, "Origin: "+c.origin), nil)
			var refused *Error
			if !errors.As(err, &refused) || refused.Status != 403 || refused.Text != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
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
		{"list adds to same origin", "example.com", "https://example.com", []string{"https://other.com"}, true},
		{"neither listed nor same", "example.com", "https://evil.com", []string{"https://other.com"}, false},
		{"pattern", "x", "https://a.b.example.com", []string{"https://*.example.com"}, true},
		{"pattern and another scheme", "x", "http://aa.b.example.com", []string{"https://*.example.com"}, false},
		{"pattern and another domain", "x", "https://a.example.org", []string{"https://*.example.com"}, false},
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
			var h *Error
			if err != nil && (!errors.As(err, &h) || h.Status != 403) {
				t.Fatalf("%v, want status 403", err)
			}
		})
	}
	if _, _, err := judge(request("Origin: http://example.com", "+Origin: http://example.com"),
		[]string{"*"}); err == nil {
		t.Error("two origins are accepted")
	}
}

// TestOriginOfSecureRequest: a request that has come over TLS is of the same origin as pages of
// https only. Further origins are what they were, and the next request begins anew.
func TestOriginOfSecureRequest(t *testing.T) {
	var r Request
	for _, c := range []struct {
		name, origin string
		secure       bool
		allowed      []string
		ok           bool
	}{
		{name: "https", origin: "https://example.com", secure: true, ok: true},
		{name: "http", origin: "http://example.com", secure: true},
		{name: "http is listed", origin: "http://example.com", secure: true, allowed: []string{"http://example.com"},
			ok: true},
		{name: "not known", origin: "http://example.com", ok: true},
		{name: "no browser", secure: true, ok: true},
	} {
		changes := []string{"Host: example.com"}
		if c.origin != "" {
			changes = append(changes, "Origin: "+c.origin)
		}
		if _, err := ParseRequest([]byte(request(changes...)), nil, &r, nil); err != nil {
			t.Fatal(err)
		}
		if r.Secure {
			t.Errorf("%s: it is secure already", c.name)
		}
		r.Secure = c.secure
		if err := r.CheckOrigin(c.allowed); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", c.name, err, c.ok)
		}
	}
}

// TestForwardedFieldsAreNotTrusted: any client can send them.
func TestForwardedFieldsAreNotTrusted(t *testing.T) {
	_, _, err := judge(request("Origin: https://evil.com", "X-Forwarded-Host: evil.com", "Forwarded: host=evil.com"),
		nil)
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
		{name: "the server's preference counts, whatever comes last", offers: []string{"v2.chat, v1.chat"}, want: 0},
		{name: "over several lines", offers: []string{"soap", "v1.chat"}, want: 1},
		{name: "case counts", offers: []string{"V1.CHAT"}, want: -1},
		{name: "not a token", offers: []string{"v1 chat"}, bad: true},
		{name: "empty element", offers: []string{"v1.chat,,soap"}, want: 1},
		{name: "empty elements only", offers: []string{" , ,", ","}, want: -1},
		{name: "repeated", offers: []string{"v1.chat, v1.chat"}, bad: true},
		{name: "repeated, and not the one that is picked", offers: []string{"v1.chat, v2.chat, v1.chat"}, bad: true},
		{name: "repeated, and unknown", offers: []string{"soap", "wamp, soap"}, bad: true},
		{name: "nothing", offers: []string{""}, want: -1},
		{name: "nothing behind a comma", offers: []string{"v1.chat,"}, want: 1},
		{name: "as many as may be", offers: []string{many(63) + "v1.chat"}, want: 1},
		{name: "one too many", offers: []string{many(64) + "v1.chat"}, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var changes []string
			for _, o := range c.offers {
				changes = append(changes, "+Sec-WebSocket-Protocol: "+o)
			}
			var r Request
			var scanned uint32
			if _, err := ParseRequest([]byte(request(changes...)), &scanned, &r, nil); err != nil {
				t.Fatal(err)
			}
			got, err := r.Subprotocol(server)
			if (err != nil) != c.bad || err == nil && got != c.want {
				t.Fatalf("%d, %v", got, err)
			}
		})
	}
}

// many returns the beginning of a list with n different elements.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d, ", i)
	}
	return b.String()
}

// TestListsAreParsedInLinearTime (CVE-2021-32640): with lists of 8 MiB, a parser that looks at its
// bytes again for each element or space would exceed the time of a test.
func TestListsAreParsedInLinearTime(t *testing.T) {
	const size = 8 << 20
	for _, c := range []struct {
		piece    string
		upgrades bool // a list of these may have upgrade and websocket at its end
	}{{",", true}, {" ", true}, {"a,", true}, {"permessage-deflate,", true}, {`"`, false}} {
		list := strings.Repeat(c.piece, size/len(c.piece))
		var r Request
		var scanned uint32
		text := request("Upgrade: "+list+"websocket", "Connection: "+list+"upgrade", "Sec-WebSocket-Protocol: "+list,
			"Sec-WebSocket-Extensions: "+list)
		if _, err := ParseRequest([]byte(text), &scanned, &r, &wsproto.Limits{MaxHeader: 5 * size}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.CheckUpgrade(); (err == nil) != c.upgrades {
			t.Errorf("%q: %v", c.piece, err)
		}
		offers := strings.Trim(c.piece, ", ") != ""
		if i, err := r.Subprotocol([]string{"a", "b"}); (err != nil) != offers || i >= 0 {
			t.Errorf("%q as a list of subprotocols: %d, %v", c.piece, i, err)
		}
		if _, ok := r.Deflate(wsproto.Deflate{}); ok != strings.HasPrefix(c.piece, "permessage") {
			t.Errorf("%q is an offer", c.piece)
		}
	}
}
