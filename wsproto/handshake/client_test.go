package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// theKey is the key of RFC 6455 section 1.3.
var theKey = ClientKey([]byte("dGhlIHNhbXBsZSBub25jZQ=="))

// neither says that no end has context takeover.
const neither = "; server_no_context_takeover; client_no_context_takeover"

const theAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

func TestClientRequest(t *testing.T) {
	deflate := &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true, ServerMaxWindowBits: 15,
		ClientMaxWindowBits: 9}
	for _, test := range []struct {
		name    string
		opening Opening
		// of the fields behind those that are always there; "!" and what the error says
		want string
	}{
		{"plain", Opening{Host: "example.com"}, ""},
		{"port and path", Opening{Host: "[::1]:8080", Target: "/chat?room=1"}, ""},
		{"subprotocols", Opening{Host: "a", Subprotocols: []string{"chat", "superchat"}},
			"Sec-WebSocket-Protocol: chat, superchat\r\n"},
		{"fields", Opening{Host: "a", Fields: []Field{{"Origin", "https://a"}}}, "Origin: https://a\r\n"},
		{"compression", Opening{Host: "a", Deflate: &wsproto.Deflate{}},
			"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"},
		{"all parameters", Opening{Host: "a", Deflate: deflate},
			"Sec-WebSocket-Extensions: permessage-deflate" + neither + "; client_max_window_bits=9\r\n"},
		{"largest window", Opening{Host: "a", Deflate: &wsproto.Deflate{ClientMaxWindowBits: 15}},
			"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"},
		{"small window", Opening{Host: "a", Deflate: &wsproto.Deflate{ServerMaxWindowBits: 10}},
			"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits\r\n"},

		{"no host", Opening{}, "!malformed host"},
		{"host beyond ASCII", Opening{Host: "exämple.com"}, "!malformed host"},
		{"line end in the host", Opening{Host: "a\r\nX: y"}, "!malformed host"},
		{"line end in the target", Opening{Host: "a", Target: "/ HTTP/1.1\r\nX: y"}, "!malformed request target"},
		{"no path", Opening{Host: "a", Target: "chat"}, "!malformed request target"},
		{"subprotocol that is no token", Opening{Host: "a", Subprotocols: []string{"a b"}}, "!not a token"},
		{"subprotocol twice", Opening{Host: "a", Subprotocols: []string{"a", "b", "a"}}, "!offered twice"},
		{"line end in a field", Opening{Host: "a", Fields: []Field{{"X", "a\r\nY: b"}}}, "!control character"},
		{"field name that is no token", Opening{Host: "a", Fields: []Field{{"X Y", "a"}}}, "!not a token"},
		{"key of one's own", Opening{Host: "a", Fields: []Field{{"sec-websocket-key", "a"}}}, "!not the application's"},
		{"version of one's own", Opening{Host: "a", Fields: []Field{{"Sec-WebSocket-Version", "8"}}},
			"!not the application's"},
		{"host of one's own", Opening{Host: "a", Fields: []Field{{"Host", "b"}}}, "!not the application's"},
		{"body", Opening{Host: "a", Fields: []Field{{"Content-Length", "5"}}}, "!not the application's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := test.opening.AppendRequest([]byte("before"), theKey)
			if want, broken := strings.CutPrefix(test.want, "!"); broken {
				if err == nil || !strings.Contains(err.Error(), want) || string(b) != "before" {
					t.Fatalf("%q, %v", b, err)
				}
				return
			}
			target := test.opening.Target
			if target == "" {
				target = "/"
			}
			want := "beforeGET " + target + " HTTP/1.1\r\nHost: " + test.opening.Host +
				"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + string(theKey[:]) + "\r\n" + test.want + "\r\n"
			if err != nil || string(b) != want {
				t.Fatalf("%v\n%q, want\n%q", err, b, want)
			}
			// And the server's side takes it.
			var r Request
			var scanned uint32
			n, err := ParseRequest(b[6:], &scanned, &r, nil)
			if err != nil || n != len(b)-6 {
				t.Fatal(n, err)
			}
			if key, err := r.CheckUpgrade(); err != nil || !bytes.Equal(key, theKey[:]) {
				t.Fatal(key, err)
			}
			if _, ok := r.Deflate(wsproto.Deflate{}); ok != (test.opening.Deflate != nil) {
				t.Fatal("the server does not understand the offer")
			}
		})
	}
}

func TestClientKeysDiffer(t *testing.T) {
	a, b := NewClientKey(), NewClientKey()
	if a == b || !isKey(a[:]) {
		t.Fatalf("%s, %s", a, b)
	}
}

// answer returns a response with these lines behind the status line.
func answer(lines ...string) string {
	return "HTTP/1.1 101 Switching Protocols\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func TestClientChecksResponse(t *testing.T) {
	const upgrade, connection, accept = "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + theAccept
	with := func(lines ...string) string {
		return answer(append([]string{upgrade, connection, accept}, lines...)...)
	}
	deflate := func(s string) string { return with("Sec-WebSocket-Extensions: permessage-deflate" + s) }
	plain := Opening{Host: "a"}
	chat := Opening{Host: "a", Subprotocols: []string{"chat", "mud"}}
	packed := Opening{Host: "a", Deflate: &wsproto.Deflate{}}
	strict := Opening{Host: "a",
		Deflate: &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true, ServerMaxWindowBits: 10,
			ClientMaxWindowBits: 9}}
	for _, test := range []struct {
		name     string
		opening  Opening
		response string
		want     string // what was agreed on; "!" and what the error says
	}{
		{"accepted", plain, with(), " -"},
		{"any case and order", plain, answer("X: y", "connection: keep-alive, UPGRADE", accept, "UPGRADE: WebSocket"),
			" -"},
		{"empty reason", plain, strings.Replace(with(), "Switching Protocols", "", 1), " -"},
		{"subprotocol", chat, with("Sec-WebSocket-Protocol: mud"), "mud -"},
		{"no subprotocol", chat, with(), " -"},
		{"empty list of extensions", plain, with("Sec-WebSocket-Extensions: ,"), " -"},
		{"deflate", packed, deflate(""), " permessage-deflate; client_max_window_bits=15"},
		{"deflate declined", packed, with(), " -"},
		{"deflate with more than was asked for", packed,
			deflate(neither + "; server_max_window_bits=9; client_max_window_bits=11"),
			" permessage-deflate" + neither + "; server_max_window_bits=9; client_max_window_bits=11"},
		{"deflate with all that was asked for", strict,
			deflate("; server_max_window_bits=10; server_no_context_takeover"),
			" permessage-deflate" + neither + "; server_max_window_bits=10; client_max_window_bits=9"},

		{"other version", plain, strings.Replace(with(), "HTTP/1.1", "HTTP/2.0", 1), "!malformed status line"},
		{"101 in HTTP/1.0", plain, strings.Replace(with(), "1.1", "1.0", 1), "!status 101 in HTTP/1.0"},
		{"as many fields as may be", plain, with(strings.Repeat("X: y\r\n", 96) + "X: y"), " -"},
		{"status below 100", plain, strings.Replace(with(), "101 ", "099 ", 1), "!malformed status line"},
		{"status that is no number", plain, strings.Replace(with(), "101 ", "1x1 ", 1), "!malformed status line"},
		{"no space before the status", plain, strings.Replace(with(), "HTTP/1.1 101", "HTTP/1.1x101", 1),
			"!malformed status line"},
		{"status 300", plain, strings.Replace(with(), "101 ", "300 ", 1), "!redirects with status 300"},
		{"status 404", plain, strings.Replace(with(), "101 ", "404 ", 1), "!answers with status 404"},
		{"status 400", plain, strings.Replace(with(), "101 ", "400 ", 1), "!answers with status 400"},
		{"no status", plain, strings.Replace(with(), "101 ", "", 1), "!malformed status line"},
		{"status of four digits", plain, strings.Replace(with(), "101 ", "1010 ", 1), "!malformed status line"},
		{"no space behind the status", plain, strings.Replace(with(), "101 Switching Protocols", "101", 1), " -"},
		{"something else behind the status", plain, strings.Replace(with(), "101 Switching", "101-Switching", 1),
			"!malformed status line"},
		{"control character in the reason", plain, strings.Replace(with(), "Switching", "\x01", 1),
			"!malformed status line"},
		{"bare line feed", plain, strings.Replace(with(), "\r\n", "\n", 1), "!CR LF"},
		{"folded field", plain, with("X: y", " z"), "!folded"},
		{"space before a colon", plain, with("X : y"), "!not a token"},
		{"NUL in a field", plain, with("X: \x00"), "!control character"},
		{"too long", plain, with("X: " + strings.Repeat("y", 17<<10)), "!limit of 16384 bytes"},
		{"too long a line", plain, "HTTP/1.1 101 " + strings.Repeat("y", 9<<10), "!limit of 8192 bytes"},
		{"too many fields", plain, with(strings.Repeat("X: y\r\n", 100) + "X: y"), "!limit of 100 header fields"},

		{"status 200", plain, strings.Replace(with(), "101 Switching Protocols", "200 OK", 1), "!status 200"},
		{"redirect", plain, "HTTP/1.1 302 Found\r\nLocation: ws://b/\r\n\r\n",
			"!redirects with status 302 to \"ws://b/\""},
		{"no Upgrade", plain, answer(connection, accept), "!without Upgrade"},
		{"two Upgrades", plain, with(upgrade), "!without Upgrade"},
		{"other Upgrade", plain, answer("Upgrade: h2c", connection, accept), "!without Upgrade"},
		{"no Connection", plain, answer(upgrade, accept), "!without Connection"},
		{"no Accept", plain, answer(upgrade, connection), "!Sec-WebSocket-Accept"},
		{"two Accepts", plain, with(accept), "!Sec-WebSocket-Accept"},
		{"wrong Accept", plain, answer(upgrade, connection, "Sec-WebSocket-Accept: "+string(theKey[:])),
			"!Sec-WebSocket-Accept"},
		{"Accept in another case", plain, answer(upgrade, connection,
			"Sec-WebSocket-Accept: "+strings.ToLower(theAccept)), "!Sec-WebSocket-Accept"},
		{"subprotocol not offered", chat, with("Sec-WebSocket-Protocol: web"), "!which was not offered"},
		{"subprotocol without an offer", plain, with("Sec-WebSocket-Protocol: chat"), "!which was not offered"},
		{"two subprotocols", chat, with("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: mud"),
			"!which was not offered"},
		{"list of subprotocols", chat, with("Sec-WebSocket-Protocol: chat, mud"), "!which was not offered"},
		{"subprotocol in another case", chat, with("Sec-WebSocket-Protocol: Chat"), "!which was not offered"},
		{"unknown extension", packed, with("Sec-WebSocket-Extensions: bbf-usp-protocol"), "!was not offered"},
		{"deflate not offered", plain, deflate(""), "!was not offered"},
		{"deflate twice", packed, deflate(", permessage-deflate"), "!twice"},
		{"deflate twice, in two fields", packed, deflate("\r\nSec-WebSocket-Extensions: permessage-deflate"), "!twice"},
		{"unknown parameter", packed, deflate("; fast"), "!wrong parameters"},
		{"parameter twice", packed, deflate("; server_no_context_takeover; server_no_context_takeover"),
			"!wrong parameters"},
		{"window of 7 bits", packed, deflate("; server_max_window_bits=7"), "!wrong parameters"},
		{"window of 16 bits", packed, deflate("; client_max_window_bits=16"), "!wrong parameters"},
		{"server's window without a size", packed, deflate("; server_max_window_bits"), "!wrong parameters"},
		{"client's window without a size", packed, deflate("; client_max_window_bits"), "!without a value"},
		{"client's window larger than offered", strict,
			deflate("; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=10"),
			"!larger window than we offered"},
		{"server's window larger than asked for", strict,
			deflate("; server_no_context_takeover; server_max_window_bits=11"), "!larger window"},
		{"server's window not bounded", strict, deflate("; server_no_context_takeover"), "!larger window"},
		{"takeover that was ruled out", strict, deflate("; server_max_window_bits=10"),
			"!without the server_no_context_takeover"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := open(test.opening, test.response, nil)
			if want, broken := strings.CutPrefix(test.want, "!"); broken {
				if !strings.HasPrefix(got, "!") || !strings.Contains(got, want) {
					t.Fatalf("%q, want an error with %q", got, want)
				}
			} else if got != test.want {
				t.Fatalf("%q, want %q", got, test.want)
			}
			for cut := range len(test.response) {
				if again := open(test.opening, test.response, []int{cut}); again != got {
					t.Fatalf("split at %d: %q, want %q", cut, again, got)
				}
			}
		})
	}
}

// open parses and checks a response that arrives in pieces, and returns what was agreed on, or "!"
// and the error.
func open(o Opening, response string, cuts []int) string {
	var r Response
	var scanned uint32
	for _, end := range append(cuts, len(response)) {
		n, err := ParseResponse([]byte(response[:end]), &scanned, &r, nil)
		if err == nil && n == 0 {
			continue
		}
		var a Accepted
		if err == nil {
			a, err = o.Check(&r, theKey)
		}
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) || e.Section == "" {
				return "another kind of error: " + err.Error()
			}
			return "!" + err.Error()
		}
		deflate := "-"
		if a.Deflate != nil {
			deflate = string(AppendDeflate(nil, *a.Deflate))
		}
		return a.Subprotocol + " " + deflate
	}
	return "incomplete"
}

func TestOpeningSetURL(t *testing.T) {
	for _, test := range []struct {
		url, address, host, target string
		secure                     bool
	}{
		{url: "ws://a", address: "a:80", host: "a", target: "/"},
		{url: "ws://a:80/b", address: "a:80", host: "a", target: "/b"},
		{url: "wss://a:80/", address: "a:80", host: "a:80", target: "/", secure: true},
		{url: "wss://a:443/?q=1", address: "a:443", host: "a", target: "/?q=1", secure: true},
		{url: "wss://a", address: "a:443", host: "a", target: "/", secure: true},
		{url: "ws://a:/x%20y", address: "a:80", host: "a", target: "/x%20y"},
		{url: "ws://a/ü?q=ä b%23", address: "a:80", host: "a", target: "/%C3%BC?q=%C3%A4%20b%23"},
		{url: "WS://a", address: "a:80", host: "a", target: "/"},
		{url: "ws://[::1]", address: "[::1]:80", host: "[::1]", target: "/"},
		{url: "ws://[fe80::1%25eth0]:81/", address: "[fe80::1%eth0]:81", host: "[fe80::1]:81", target: "/"},
	} {
		var o Opening
		address, secure, err := o.SetURL(test.url)
		if err != nil || address != test.address || secure != test.secure || o.Host != test.host ||
			o.Target != test.target {
			t.Errorf("%s: connects to %q, secure %v, Host %q, target %q, %v", test.url, address, secure, o.Host,
				o.Target, err)
		}
		if _, err := o.AppendRequest(nil, NewClientKey()); err != nil {
			t.Errorf("%s: %v", test.url, err)
		}
	}
	for _, bad := range []string{"http://a", "a", "ws:///b", "ws://:80/", "ws://u:p/q@a/", "ws://a/#f", "ws://a/#",
		"ws:a",
		"ws://a\n", "ws://[::1", "WSS//a"} {
		if _, _, err := new(Opening).SetURL(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzResponse: any split of a response gives the same result, and what is accepted answers the
// key.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(answer("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+theAccept)), uint16(10),
		uint16(50))
	f.Add([]byte(answer("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+theAccept,
		"Sec-WebSocket-Protocol: chat",
		"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\"")), uint16(0), uint16(200))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), uint16(1), uint16(2))
	o := Opening{Host: "a", Subprotocols: []string{"chat"}, Deflate: &wsproto.Deflate{ServerMaxWindowBits: 12}}
	f.Fuzz(func(t *testing.T, b []byte, x, y uint16) {
		s := string(b)
		whole := open(o, s, nil)
		first, second := min(int(min(x, y)), len(s)), min(int(max(x, y)), len(s))
		if split := open(o, s, []int{first, second}); split != whole && whole != "incomplete" {
			// A head that is too long is refused as soon as that is known, which is earlier when it
			// comes in pieces.
			if !strings.Contains(split, "over the limit") || len(s) < 8<<10 {
				t.Fatalf("split at %d and %d: %s; whole: %s", first, second, split, whole)
			}
		}
		if !strings.HasPrefix(whole, "!") && whole != "incomplete" && !strings.Contains(s, theAccept) {
			t.Fatalf("accepted without the answer to the key: %s", whole)
		}
	})
}

func ExampleOpening() {
	o := Opening{Host: "example.com", Target: "/chat"}
	key := NewClientKey()
	request, err := o.AppendRequest(nil, key)
	fmt.Println(len(request) > 0, err)
	// Output: true <nil>
}
