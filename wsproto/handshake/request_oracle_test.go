package handshake

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/wsproto"
)

// TestHandshakeAgainstGobwas lets gobwas judge our responses, as a client, and the same requests,
// as a server.
func TestHandshakeAgainstGobwas(t *testing.T) {
	for _, text := range []string{request(), request("-Host"), request("Upgrade: foo"),
		request("Sec-WebSocket-Version: 8"),
		request("-Sec-WebSocket-Key"), request("line POST / HTTP/1.1"), request("line GET / HTTP/1.0")} {
		_, err := ws.Upgrade(readWriter{strings.NewReader(text), new(bytes.Buffer)})
		_, _, ours := judge(text, nil)
		if (err == nil) != (ours == nil) {
			t.Errorf("gobwas says %v, we say %v, to %q", err, ours, text)
		}
	}
	b, err := AppendResponse(nil, []byte(sampleKey), "chat", nil, []Field{{"X-Server", "myriad"}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "chat" ||
		resp.Header.Get("X-Server") != "myriad" {
		t.Fatalf("%v, %v", resp, err)
	}
}

type readWriter struct {
	r *strings.Reader
	w *bytes.Buffer
}

func (rw readWriter) Read(b []byte) (int, error)  { return rw.r.Read(b) }
func (rw readWriter) Write(b []byte) (int, error) { return rw.w.Write(b) }

// FuzzRequest: no input panics, every split gives the same result, net/http reads what we accept in
// the same way, and gobwas accepts a handshake that we accept.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(request()), uint16(20))
	f.Add([]byte(request("X: y", "Content-Length: 3")), uint16(1))
	f.Add([]byte(request("Sec-WebSocket-Protocol: chat, x", "Sec-WebSocket-Extensions: permessage-deflate",
		"Origin: http://example.com")), uint16(9))
	f.Add([]byte(request("X: y", "+sec-websocket-protocol: a", "+SEC-WEBSOCKET-PROTOCOL: b", "+Y: z")), uint16(40))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(3))
	f.Add([]byte("\r\n"+request()), uint16(2))
	f.Add([]byte(request("line GET ws://EXAMPLE.com?q HTTP/1.1", "Content-Length: 0")), uint16(5))
	f.Add([]byte("GET http://a/ HTTP/1.0\r\n\r\n"), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		var r, split Request
		var s1, s2 uint32
		n, err := ParseRequest(b, &s1, &r, nil)
		m, err2 := ParseRequest(b[:min(int(cut), len(b))], &s2, &split, nil)
		if m == 0 && err2 == nil {
			m, err2 = ParseRequest(b, &s2, &split, nil)
		}
		if n > 0 && (m != n || err2 != nil) || err != nil && err2 == nil {
			t.Fatalf("whole: %d, %v; split: %d, %v", n, err, m, err2)
		}
		if n == 0 {
			return
		}
		sameFields(t, &r.fields)
		if key, err := r.CheckUpgrade(); err == nil {
			r.CheckOrigin(nil)
			judgeAnswer(t, &r, key, bytes.TrimPrefix(b[:n], crlf))
		}
		head := bytes.TrimPrefix(b[:n], crlf) // net/http does not skip it
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			if strings.Contains(err.Error(), "invalid URI") || strings.Contains(err.Error(), "invalid URL escape") ||
				strings.Contains(err.Error(), "parse") {
				// net/url and integers have opinions of their own; we hand the target on as it is
				return
			}
			t.Fatalf("accepted here, and not by net/http: %v\n%q", err, b[:n])
		}
		if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || std.Host != string(r.Host) {
			t.Fatalf("net/http reads %s %s %s, we %s %s %s", std.Method, std.RequestURI, std.Host, r.Method, r.Target,
				r.Host)
		}
	})
}

// sameFields compares what was noted of the known fields with all fields.
func sameFields(t *testing.T, f *fields) {
	var want, got [knownFields][]string
	for name, value := range f.Fields() {
		for k := other + 1; k < knownFields; k++ {
			if strings.EqualFold(string(name), knownNames[k]) { // names are ASCII
				want[k] = append(want[k], string(value))
			}
		}
	}
	for k := other + 1; k < knownFields; k++ {
		for value := range f.values(k) {
			got[k] = append(got[k], string(value))
		}
		if !slices.Equal(got[k], want[k]) || f.noted[k].end > 0 != (len(want[k]) > 0) {
			t.Fatalf("%s: %q, want %q", knownNames[k], got[k], want[k])
		}
	}
}

// judgeAnswer accepts a good handshake: gobwas must accept it, too, and net/http must understand
// the response.
func judgeAnswer(t *testing.T, r *Request, key, request []byte) {
	server := []string{"chat", "superchat"}
	i, err := r.Subprotocol(server)
	if err != nil {
		return
	}
	upgrade, upgrades := r.only(upgradeField)
	connection, connections := r.only(connectionField)
	if upgrades != 1 || connections != 1 || !equalFold(upgrade, "websocket") ||
		!equalFold(connection, "Upgrade") && !equalFold(connection, "keep-alive, Upgrade") {
		return // gobwas takes no list of protocols, no list in several lines, and no tabs in one
	}
	var buf bytes.Buffer
	u := ws.Upgrader{ReadBufferSize: len(request) + 100}
	if _, err := u.Upgrade(readWriter{strings.NewReader(string(request)), &buf}); err != nil {
		t.Fatalf("accepted here, and not by gobwas: %v\n%q", err, request)
	}
	subprotocol := ""
	if i >= 0 {
		subprotocol = server[i]
	}
	var deflate *wsproto.Deflate
	if d, ok := r.Deflate(wsproto.Deflate{}); ok {
		deflate = &d
	}
	b, err := AppendResponse(nil, key, subprotocol, deflate, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := http.ReadResponse(bufio.NewReader(&buf), nil)
	if err != nil {
		t.Fatal(err)
	}
	const accept = "Sec-Websocket-Accept"
	if ours.StatusCode != 101 || ours.Header.Get(accept) != theirs.Header.Get(accept) ||
		ours.Header.Get("Sec-Websocket-Protocol") != subprotocol {
		t.Fatalf("we answer %v, gobwas %v", ours.Header, theirs.Header)
	}
}

func TestHandshakeDoesNotAllocate(t *testing.T) {
	text := []byte(request("Sec-WebSocket-Protocol: chat", "Origin: http://example.com"))
	server := []string{"chat"}
	out := make([]byte, 0, 1024)
	var r Request
	if n := testing.AllocsPerRun(1000, func() {
		var scanned uint32
		ParseRequest(text, &scanned, &r, nil)
		key, _ := r.CheckUpgrade()
		if r.CheckOrigin(nil) != nil {
			t.Fatal("origin")
		}
		i, _ := r.Subprotocol(server)
		if b, err := AppendResponse(out, key, server[i], nil, nil); err != nil || len(b) == 0 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations per handshake", n)
	}
}

func BenchmarkHandshake(b *testing.B) {
	text := []byte(request("User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "+
		"(KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Origin: http://example.com", "Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9",
		"Pragma: no-cache",
		"Cache-Control: no-cache", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	out := make([]byte, 0, 1024)
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		var scanned uint32
		ParseRequest(text, &scanned, &r, nil)
		key, err := r.CheckUpgrade()
		if err != nil {
			b.Fatal(err)
		}
		r.CheckOrigin(nil)
		r.Subprotocol(nil)
		AppendResponse(out, key, "", nil, nil)
	}
}
