package differential

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

var (
	// gorilla leaves the text to its users, and takes lengths in any form.
	gorillaLaxer = []difference{
		{"payload length is not in its shortest form", "RFC 6455 section 5.2: the minimal number of bytes MUST be used",
			"82 FE 0001 00000000 41"},
		{"text message is not UTF-8", "RFC 6455 section 8.1: MUST fail the connection", "81 81 00000000 FF"},
		{"close frame with a payload of 1 byte",
			"RFC 6455 section 5.5.1: the first two bytes of the body MUST be a code",
			"88 81 00000000 03"},
		{"reserved bit set in a control or continuation frame",
			"RFC 7692 section 6.1: MUST NOT set it there, MUST fail", "C9 80 00000000"},
	}
	// It does not know a code that came later.
	gorillaStricter = []difference{
		{"bad close code 1014", "RFC 6455 section 7.4.2: 1014 is in IANA's registry", "88 82 00000000 03F6"},
	}
	// It inflates what has come of a message, and we when we have all of it.
	gorillaEarlier = []difference{{"flate: corrupt input", "RFC 7692 section 7.2.2", "41 84 00000000 FFFFFFFF"}}
)

// wire is a connection whose peer has sent all that it will send.
type wire struct {
	net.Conn
	in      *bytes.Reader
	respond func(request []byte) // what the first Write is
}

func (w *wire) Read(b []byte) (int, error) { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error) {
	if w.respond != nil {
		w.respond(b)
		w.respond = nil
	}
	return len(b), nil
}
func (w *wire) Close() error                     { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// hijacked is a request's ResponseWriter whose connection is a wire.
type hijacked struct {
	http.ResponseWriter
	w *wire
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.w, bufio.NewReadWriter(bufio.NewReader(h.w), bufio.NewWriter(h.w)), nil
}

func gorillaServer(t *testing.T, compress bool, input []byte) *websocket.Conn {
	u := websocket.Upgrader{EnableCompression: compress, CheckOrigin: func(*http.Request) bool { return true }}
	r := &http.Request{Method: "GET",
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Extensions": {"permessage-deflate"}}}
	c, err := u.Upgrade(hijacked{w: &wire{in: bytes.NewReader(input)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func gorillaClient(t *testing.T, compress bool, input []byte) *websocket.Conn {
	w := &wire{in: bytes.NewReader(nil)}
	w.respond = func(request []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			t.Fatal(err)
		}
		var agreed *wsproto.Deflate
		if compress {
			agreed = &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
		}
		b, err := handshake.AppendResponse(nil, []byte(r.Header.Get("Sec-Websocket-Key")), "", agreed, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.in.Reset(append(b, input...))
	}
	d := websocket.Dialer{EnableCompression: compress,
		NetDial: func(string, string) (net.Conn, error) { return w, nil }}
	c, _, err := d.Dial("ws://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gorilla is what its Conn makes of the input.
func gorilla(t *testing.T, client, compress bool, input []byte) (o outcome) {
	connect := gorillaServer
	if client {
		connect = gorillaClient
	}
	c := connect(t, compress, input)
	c.SetPingHandler(func(s string) error { o.add("ping", []byte(s)); return nil })
	c.SetPongHandler(func(s string) error { o.add("pong", []byte(s)); return nil })
	c.SetCloseHandler(func(int, string) error { return nil })
	for {
		kind, b, err := c.ReadMessage()
		var e *websocket.CloseError
		switch {
		case errors.As(err, &e) && e.Code != websocket.CloseAbnormalClosure:
			o.events = append(o.events, closed(e.Code, e.Text))
			return o
		case errors.As(err, &e) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return o
		case err != nil:
			o.err = err
			return o
		}
		o.add(map[int]string{websocket.TextMessage: "text", websocket.BinaryMessage: "binary"}[kind], b)
	}
}

// lastBlock says whether a compressed message has a block with BFINAL set, and be it one that has
// come in part. gorilla ends the message there, and drops what follows: section 7.2.1 of RFC 7692
// says that the next block follows.
func lastBlock(input []byte) bool {
	var packed []byte
	compressed := false
	for {
		h, n, err := wsproto.ParseHeader(input)
		if n == 0 || err != nil {
			return false
		}
		payload := bytes.Clone(input[n:][:min(h.Length, uint64(len(input)-n))])
		input = input[n+len(payload):]
		if h.Opcode.IsControl() {
			continue
		}
		if h.Opcode != wsproto.Continuation {
			packed, compressed = nil, h.RSV == wsproto.RSV1
		}
		wsproto.Mask(payload, h.Key)
		packed = append(packed, payload...)
		if _, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(append(packed, 0, 0, 0xFF,
			0xFF)))); compressed && err == nil {
			return true
		}
	}
}

func FuzzReceiverAgainstGorilla(f *testing.F) {
	seeds(func(input []byte, client, compress bool) { f.Add(input, client, compress) })
	f.Fuzz(func(t *testing.T, input []byte, client, compress bool) {
		if compress && lastBlock(input) {
			return
		}
		role := wsproto.Server
		if client {
			role = wsproto.Client
		}
		compare(t, ours(role, compress, bytes.Clone(input)), gorilla(t, client, compress, bytes.Clone(input)),
			gorillaLaxer, gorillaStricter, gorillaEarlier)
	})
}

func TestGorillaDifferences(t *testing.T) {
	testDifferences(t, func(compress bool, input []byte) outcome { return gorilla(t, false, compress, input) },
		gorillaLaxer, gorillaStricter, gorillaEarlier)
}
