package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// read gives a reply to a Reply in pieces of the given size and ends the connection. It returns
// what became of it in one line, and what is left behind an accepted handshake.
func read(o *Opening, text string, size int) (result, rest string) {
	r := Reply{Opening: o, Key: theKey}
	for n, end := 0, 0; end < len(text); {
		end = min(end+size, len(text))
		k, a, err := r.Next([]byte(text[n:end]))
		n += k
		switch {
		case err != nil:
			return describe(err), ""
		case a != nil:
			return fmt.Sprintf("accepted %q, %v", a.Subprotocol, a.Deflate), text[n:]
		}
	}
	if err := r.End(errEnd); err != errEnd {
		return describe(err), ""
	}
	return "incomplete", ""
}

var errEnd = errors.New("the end")

func describe(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "another kind of error: " + err.Error()
	}
	if e.Header == nil {
		return fmt.Sprintf("!%d %s", e.Status, e.Text)
	}
	return fmt.Sprintf("status %d %v %q", e.Status, e.Header, e.Body)
}

func TestReply(t *testing.T) {
	accepted := answer("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+theAccept)
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
	long := strings.Repeat("0123456789", 1000)
	for _, c := range []struct{ name, text, want, rest string }{
		{name: "accepted", text: accepted + "frames", want: `accepted "", <nil>`, rest: "frames"},
		{name: "100 before", text: "HTTP/1.1 100 Continue\r\n\r\n" + accepted + "f", want: `accepted "", <nil>`,
			rest: "f"},
		{name: "102 and 103 before", text: "HTTP/1.1 102\r\n\r\n" + hints + hints + accepted,
			want: `accepted "", <nil>`},
		{name: "as many as may be", text: strings.Repeat(hints, maxInterim) + accepted, want: `accepted "", <nil>`},
		{name: "one too many", text: strings.Repeat(hints, maxInterim+1) + accepted,
			want: "!103 over the limit of 16 interim responses"},
		{name: "103 before a refusal", text: hints + "HTTP/1.1 403 Forbidden\r\n\r\nno", want: `status 403 map[] "no"`},
		{name: "HTTP/1.0", text: "HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\n\r\nlater",
			want: `status 503 map[Retry-After:[5]] "later"`},
		{name: "no space behind the status", text: "HTTP/1.1 401\r\nwww-authenticate: Basic\r\n\r\n",
			want: `status 401 map[Www-Authenticate:[Basic]] ""`},
		{name: "HTTP/1.2", text: "HTTP/1.2 403 \r\n\r\n", want: `status 403 map[] ""`},
		{name: "length", text: "HTTP/1.1 403 F\r\nContent-Length: 2\r\n\r\nnot more",
			want: `status 403 map[Content-Length:[2]] "no"`},
		{name: "less than the length", text: "HTTP/1.1 403 F\r\nContent-Length: 20\r\n\r\nno",
			want: `status 403 map[Content-Length:[20]] "no"`},
		{name: "length 0", text: "HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\nno",
			want: `status 403 map[Content-Length:[0]] ""`},
		{name: "malformed length", text: "HTTP/1.1 403 F\r\nContent-Length: x\r\n\r\nno",
			want: `status 403 map[Content-Length:[x]] "no"`},
		{name: "chunks",
			text: "HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nn\r\n2;x\r\no!\r\n0\r\n\r\nmore",
			want: `status 403 map[Transfer-Encoding:[chunked]] "no!"`},
		{name: "malformed chunk", text: "HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\nx\r\n",
			want: `status 403 map[Transfer-Encoding:[chunked]] "no"`},
		{name: "no content", text: "HTTP/1.1 304 N\r\n\r\nno", want: `status 304 map[] ""`},
		{name: "long content", text: "HTTP/1.1 403 F\r\n\r\n" + long,
			want: fmt.Sprintf("status 403 map[] %q", long[:maxErrorBody])},
		{name: "a rule broken in a refusal", text: "HTTP/1.1 403 F\r\nX : y\r\n\r\n",
			want: "!403 response: header field name is not a token followed by a colon"},
		{name: "bare LF in a refusal", text: "HTTP/1.1 403 F\n\n", want: "!403 response: line does not end with CR LF"},
		{name: "not HTTP", text: "SSH-2.0-OpenSSH\r\n\r\n", want: `!0 malformed status line "SSH-2.0-OpenSSH"`},
		{name: "half a head", text: "HTTP/1.1 403 F\r\nX: y\r\n", want: "incomplete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for size := 1; size <= len(c.text); size += 1 + size/20 {
				if got, rest := read(&Opening{Host: "a"}, c.text, size); got != c.want || rest != c.rest {
					t.Fatalf("in pieces of %d: %s, rest %q; want %s", size, got, rest, c.want)
				}
			}
		})
	}
}

// TestReplyRedirected: the error says where, without a password.
func TestReplyRedirected(t *testing.T) {
	for location, want := range map[string]string{
		"ws://b/?a=b": `"ws://b/?a=b"`, "/there": `"/there"`, "ws://u:secret@b/": `"ws://b/"`, "": `""`,
		"ws://u:sec/ret@b/": "a URL with a user", "ws:u:secret@b": "a URL with a user",
		"ws:///u:secret@b": "a URL with a user",
	} {
		r := Reply{Opening: &Opening{Host: "a"}, Key: theKey}
		_, _, err := r.Next([]byte("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + "\r\n\r\n"))
		var e *Error
		if !errors.As(err, &e) || e.Status != 302 || e.Header.Get("Location") != location ||
			e.Text != "server redirects with status 302 to "+want {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// TestSetURLWithUser: the password is sent, and never in the text of an error.
func TestSetURLWithUser(t *testing.T) {
	for url, want := range map[string]string{
		"ws://Aladdin:open%20sesame@a/": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", // RFC 7617 section 2
		"ws://u@a/":                     "Basic dTo=",
		"ws://:p@a/":                    "Basic OnA=",
	} {
		o := Opening{Fields: []Field{{"X", "y"}}}
		address, _, err := o.SetURL(url)
		if err != nil || address != "a:80" || o.Host != "a" || len(o.Fields) != 2 ||
			o.Fields[1] != (Field{"Authorization", want}) {
			t.Errorf("%s: %q, %v, %v", url, address, o.Fields, err)
		}
	}
	own := Opening{Fields: []Field{{"authorization", "Bearer x"}}}
	if _, _, err := own.SetURL("ws://u:p@a/"); err != nil || len(own.Fields) != 1 {
		t.Errorf("%v, %v", own.Fields, err)
	}
	for _, bad := range []string{"http://u:secret@a/", "ws://u:secret@a/#f", "ws://u:secret@a:port/", "ws://u:secret@",
		"ws://u:secret@/", "ws:u:secret@a", "u:secret@a", "ws://u:secret\n@a/", "ws://u:%zzsecret@a/", "://u:secret@a",
		"ws:///u:secret@a/", "secret@a", "ws://u:secret@[::1"} {
		_, _, err := new(Opening).SetURL(bad)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzReply: a reply gives the same in any pieces.
func FuzzReply(f *testing.F) {
	accepted := answer("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+theAccept)
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"+accepted+"frames"), uint8(7))
	f.Add([]byte("HTTP/1.0 503\r\nContent-Length: 5\r\n\r\nlater"), uint8(3))
	f.Add([]byte("HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nno\r\n0\r\n\r\n"), uint8(2))
	o := &Opening{Host: "a", Subprotocols: []string{"chat"}, Deflate: &wsproto.Deflate{}}
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		whole, rest := read(o, string(b), len(b)+1)
		pieces, rest2 := read(o, string(b), int(size)+1)
		// A head that is too long is refused as soon as that is known, which is earlier in pieces.
		if (whole != pieces || rest != rest2) && !strings.Contains(pieces, "over the limit") {
			t.Fatalf("whole: %s, %q; in pieces: %s, %q", whole, rest, pieces, rest2)
		}
		if strings.HasPrefix(whole, "accepted") && !bytes.Contains(b, []byte(theAccept)) {
			t.Fatalf("accepted without the answer to the key: %s", whole)
		}
	})
}
