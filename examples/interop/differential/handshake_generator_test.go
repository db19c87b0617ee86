package differential

import (
	"math/rand/v2"
	"strings"
)

// head is a request in parts that can be changed one by one.
type head struct {
	before, method, gap1, target, gap2, version, end string
	fields                                           []string // with the ends of lines
}

func (h *head) String() string {
	return h.before + h.method + h.gap1 + h.target + h.gap2 + h.version + h.end + strings.Join(h.fields, "") + "\r\n"
}

// with sets a field, in the place of the one of that name if there is one.
func (h *head) with(line string) {
	name, _, _ := strings.Cut(line, ":")
	for i, f := range h.fields {
		if n, _, _ := strings.Cut(f, ":"); strings.EqualFold(n, name) {
			h.fields[i] = line + "\r\n"
			return
		}
	}
	h.fields = append(h.fields, line+"\r\n")
}

func (h *head) without(name string) {
	for i, f := range h.fields {
		if n, _, _ := strings.Cut(f, ":"); strings.EqualFold(n, name) {
			h.fields = append(h.fields[:i:i], h.fields[i+1:]...)
			return
		}
	}
}

// plain returns a handshake as browsers and small devices send it.
func plain(r *rand.Rand) *head {
	h := &head{method: "GET", gap1: " ", target: pick(r, "/", "/chat", "/ws?room=1", "/a%20b", "//x", "/ocpp/CP-1"),
		gap2:    " ",
		version: "HTTP/1.1", end: "\r\n"}
	key := make([]byte, 22)
	for i := range key {
		key[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
	}
	for _, f := range []string{"Host: " + pick(r, "example.com", "example.com:8080", "[::1]:80", "10.0.0.1"),
		"Upgrade: " + pick(r, "websocket", "WebSocket"), "Connection: " + pick(r, "Upgrade", "keep-alive, Upgrade",
			"upgrade"),
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + string(key) + "=="} {
		h.with(f)
	}
	for _, f := range []string{"User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Pragma: no-cache", "Cookie: a=b; c=d",
		"Sec-WebSocket-Protocol: " + pick(r, "chat", "mqtt, chat", "soap"), "Accept-Encoding: gzip, deflate",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"} {
		if r.IntN(4) == 0 {
			h.with(f)
		}
	}
	r.Shuffle(len(h.fields), func(i, j int) { h.fields[i], h.fields[j] = h.fields[j], h.fields[i] })
	return h
}

func pick(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

// oddities are what a generated request may have, several at a time.
var oddities = []func(*rand.Rand, *head){
	func(r *rand.Rand, h *head) { h.before = pick(r, "\r\n", "\r\n\r\n", "\n", " ", "\r", "\x00") },
	func(r *rand.Rand, h *head) {
		h.method = pick(r, "POST", "get", "HEAD", "OPTIONS", "CONNECT", "G(T", "")
	},
	func(r *rand.Rand, h *head) { h.gap1 = pick(r, "  ", "\t", "") },
	func(r *rand.Rand, h *head) { h.gap2 = pick(r, "  ", "\t", "") },
	func(r *rand.Rand, h *head) {
		h.version = pick(r, "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/1", "",
			"HTTP/1.1 ",
			"ICAP/1.0")
	},
	func(r *rand.Rand, h *head) {
		h.target = pick(r, "*", "", "chat", "/a b", "/a#b", "/\xc3\xa4", "/\x7f", "/a\tb", "/%zz", "/a\\b", "/<a>",
			"?a=b",
			"/"+strings.Repeat("x", 9000))
	},
	func(r *rand.Rand, h *head) {
		h.target = pick(r, "http", "HTTP", "https", "ws", "wss", "ftp") + "://" +
			pick(r, "example.com", "EXAMPLE.com", "example.com:80", "other.example", "u@example.com", "") + pick(r,
			"", "/", "/a?b", "?b")
	},
	func(r *rand.Rand, h *head) { h.end = pick(r, "\n", "\r\r\n", " \r\n") },
	func(r *rand.Rand, h *head) {
		i := r.IntN(len(h.fields))
		h.fields[i] = strings.TrimSuffix(h.fields[i], "\r\n") + pick(r, "\n", "\r\r\n", "\r\n folded\r\n",
			"\r\n\tfolded\r\n")
	},
	func(r *rand.Rand, h *head) {
		i := r.IntN(len(h.fields))
		name, value, _ := strings.Cut(h.fields[i], ":")
		h.fields[i] = name + pick(r, " :", "\t:", ":\t", ":  ", ":") + strings.TrimLeft(value, " ")
	},
	func(r *rand.Rand, h *head) {
		i := r.IntN(len(h.fields))
		name, value, _ := strings.Cut(h.fields[i], ":")
		h.fields[i] = pick(r, strings.ToLower(name), strings.ToUpper(name)) + ":" + value
	},
	func(r *rand.Rand, h *head) {
		h.fields = append(h.fields, pick(r, "nonsense", ": no name", "X Y: z", "X\x00: y", "X: \x00", "X: \x7f",
			"X: \x01",
			"X: \xff", "X:", "X: a\rb", "X\xc3\xa4: y", "X\"Y: z", "Transfer-Encoding : chunked")+"\r\n")
	},
	func(r *rand.Rand, h *head) { h.without(pick(r, "Host", "Upgrade", "Connection")) },
	func(r *rand.Rand, h *head) { h.without(pick(r, "Sec-WebSocket-Key", "Sec-WebSocket-Version")) },
	func(r *rand.Rand, h *head) { h.fields = append(h.fields, h.fields[r.IntN(len(h.fields))]) },
	func(r *rand.Rand, h *head) { h.fields = append(h.fields, "Host: other.example\r\n") },
	func(r *rand.Rand, h *head) {
		h.with("Host:" + pick(r, "", " ", " a b", " a/b", " u@a", " a:b:c", " EXAMPLE.COM", " \xc3\xa4", " a%41"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Content-Length: " + pick(r, "0", "00", "5", "-0", "+0", "", "0, 0", "0x0", "a"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Transfer-Encoding: " + pick(r, "chunked", "identity", "gzip, chunked", "", "chunked, chunked", "x"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Upgrade: " + pick(r, "h2c", "websocket, h2c", "h2c, websocket", "websocket/13", "websockets",
			"a b, websocket",
			"\"websocket\"", "websocket,", ""))
	},
	func(r *rand.Rand, h *head) {
		h.with("Connection: " + pick(r, "keep-alive", "close", "close, Upgrade", "Upgrade, keep-alive", "Upgrade,",
			",Upgrade",
			"a b, Upgrade", "Upgrade; q=1", "\"Upgrade\"", "a/1, Upgrade", "", "Upgrade, HTTP2-Settings",
			"keep-alive,Upgrade"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Sec-WebSocket-Version: " + pick(r, "8", "7", "14", "13, 8", "8, 13", "013", "13.0", "", "0xd", "1 3"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Sec-WebSocket-Key: " + pick(r, "", "abc", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA=",
			"AAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA-_==",
			"AAAAAAAAAAAAAAAAAAAA A==",
			"AAAAAAAAAAAAAAAAAAAAA===", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	},
	func(r *rand.Rand, h *head) {
		h.with("Sec-WebSocket-Protocol: " + pick(r, "", ",", "chat,", ",chat", "chat,,mqtt", "chat, chat", "a b",
			"a/b", "CHAT",
			"chat;q=1", "\"chat\"", "soap", "\xff", strings.Repeat("a", 200), "soap ,\tchat "))
	},
	func(r *rand.Rand, h *head) { h.fields = append(h.fields, "Sec-WebSocket-Protocol: mqtt\r\n") },
	func(r *rand.Rand, h *head) {
		h.with("Sec-WebSocket-Extensions: " + pick(r, "", ",", "foo", "permessage-deflate; x=1", "a b",
			"permessage-deflate;",
			"permessage-deflate; server_max_window_bits=7", "foo; a=\"b c\"", "permessage-deflate, permessage-deflate"))
	},
	func(r *rand.Rand, h *head) {
		h.with("Origin: " + pick(r, "null", "http://evil.example", "", "http://example.com", "http://"))
	},
	func(r *rand.Rand, h *head) { h.with("Expect: " + pick(r, "100-continue", "x")) },
	func(r *rand.Rand, h *head) { h.with("X-Long: " + strings.Repeat("y", 17<<10)) },
	func(r *rand.Rand, h *head) {
		for range 110 {
			h.fields = append(h.fields, "X: y\r\n")
		}
	},
	func(r *rand.Rand, h *head) { h.with("Trailer: X") },
}

// generate returns a handshake with up to three oddities.
func generate(r *rand.Rand) string {
	h := plain(r)
	for range r.IntN(4) {
		if len(h.fields) > 0 {
			oddities[r.IntN(len(oddities))](r, h)
		}
	}
	return h.String()
}
