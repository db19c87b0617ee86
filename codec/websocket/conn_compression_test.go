package websocket_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// deflatePeer is the other end, which compresses by whatever it has agreed on, on wsproto's own
// session.
type deflatePeer struct {
	net.Conn
	r       *bufio.Reader
	role    wsproto.Role
	agreed  string // a client's: the server's Sec-WebSocket-Extensions
	session wsproto.Receiver
	window  []byte // of what was sent, with context takeover
	keeps   int    // its size
	bits    uint8
	rsv     byte // of the last frame that was received
	size    int  // of its payload on the wire
}

// dialDeflate makes the offer; d is what the client goes by, which should be what the server
// answers.
func dialDeflate(t testing.TB, address, offer string, d wsproto.Deflate) *deflatePeer {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, halfRequest+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: %s\r\n\r\n", offer)
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	c := newDeflatePeer(nc, r, wsproto.Client, d)
	c.agreed = res.Header.Get("Sec-WebSocket-Extensions")
	return c
}

func newDeflatePeer(nc net.Conn, r *bufio.Reader, role wsproto.Role, d wsproto.Deflate) *deflatePeer {
	bits, noTakeover := d.ServerMaxWindowBits, d.ServerNoContextTakeover
	if role == wsproto.Client {
		bits, noTakeover = d.ClientMaxWindowBits, d.ClientNoContextTakeover
	}
	c := &deflatePeer{Conn: nc, r: r, role: role, bits: cmp.Or(bits, wsproto.MaxWindowBits)}
	c.session = wsproto.NewReceiver(&wsproto.Config{Role: role,
		Compressor: deflate.New(deflate.Compression{MaxRatio: 2000})}, &d)
	if !noTakeover {
		c.keeps = 1 << c.bits
	}
	return c
}

func (c *deflatePeer) send(t testing.TB, op wsproto.Opcode, text string) {
	t.Helper()
	c.sendFragments(t, op, text, 0)
}

// sendFragments sends a compressed message in frames of at most n bytes; 0: in one.
func (c *deflatePeer) sendFragments(t testing.TB, op wsproto.Opcode, text string, n int) {
	t.Helper()
	out := deflate.New(deflate.Compression{}).Append(nil, []byte(text), c.window, c.bits)
	c.window = append(c.window, text...)
	c.window = bytes.Clone(c.window[max(0, len(c.window)-c.keeps):])
	if n == 0 {
		n = len(out)
	}
	masked := c.role == wsproto.Client
	var frames []byte
	for h := (wsproto.Header{RSV: wsproto.RSV1, Opcode: op, Masked: masked,
		Key: 7}); !h.Fin; h = (wsproto.Header{Masked: masked, Key: 7, Fin: h.Fin}) {
		k := min(n, len(out))
		h.Length, h.Fin = uint64(k), k == len(out)
		frames = wsproto.AppendHeader(frames, h)
		at := len(frames)
		if frames = append(frames, out[:k]...); masked {
			wsproto.Mask(frames[at:], 7)
		}
		out = out[k:]
	}
	if _, err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
}

func (c *deflatePeer) expect(t testing.TB, text string) {
	t.Helper()
	if got := c.next(t); got != text {
		t.Fatalf("got %d bytes %.40q; want %d bytes %.40q", len(got), got, len(text), text)
	}
}

// next is the next message.
func (c *deflatePeer) next(t testing.TB) string {
	t.Helper()
	f, err := readFrame(c.r)
	if err != nil {
		t.Fatal(err)
	}
	c.rsv, c.size = f.Header.Rsv, len(f.Payload)
	raw := wsproto.AppendHeader(nil, wsproto.Header{Fin: f.Header.Fin, RSV: f.Header.Rsv,
		Opcode: wsproto.Opcode(f.Header.OpCode),
		Masked: f.Header.Masked, Key: wsproto.Key(binary.LittleEndian.Uint32(f.Header.Mask[:])),
		Length: uint64(len(f.Payload))})
	ev, _, err := c.session.Next(append(raw, f.Payload...))
	if err != nil || ev.Kind != wsproto.EventMessage {
		t.Fatalf("got %v, %v", ev.Kind, err)
	}
	return string(ev.Payload)
}

var deflateMessages = []string{strings.Repeat("tick 12345 price 678.90;", 100), "short", "",
	strings.Repeat("tick 12346 price 678.91;", 100),
	strings.Repeat("x", 300_000), strings.Repeat("tick 12347 price 678.92;", 20)}

// TestCompressedEcho: every parameter in both directions, as it was agreed on.
func TestCompressedEcho(t *testing.T) {
	const base = "permessage-deflate"
	for _, c := range []struct {
		name          string
		server        websocket.Compression
		offer, agreed string
		deflate       wsproto.Deflate
	}{
		{"default", websocket.Compression{}, base, base + "; server_no_context_takeover; client_no_context_takeover",
			wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
		{"takeover", websocket.Compression{ServerTakeover: true, ClientTakeover: true, Level: 6}, base, base,
			wsproto.Deflate{}},
		{"server takeover only", websocket.Compression{ServerTakeover: true}, base,
			base + "; client_no_context_takeover",
			wsproto.Deflate{ClientNoContextTakeover: true}},
		{"client takeover only", websocket.Compression{ClientTakeover: true}, base,
			base + "; server_no_context_takeover",
			wsproto.Deflate{ServerNoContextTakeover: true}},
		{"the client wants none", websocket.Compression{ServerTakeover: true, ClientTakeover: true},
			base + "; server_no_context_takeover; client_no_context_takeover",
			base + "; server_no_context_takeover; client_no_context_takeover",
			wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
		{"small windows", websocket.Compression{ServerTakeover: true, ClientTakeover: true},
			base + "; server_max_window_bits=8; client_max_window_bits=9",
			base + "; server_max_window_bits=8; client_max_window_bits=9",
			wsproto.Deflate{ServerMaxWindowBits: 8, ClientMaxWindowBits: 9}},
		{"the server's small windows", websocket.Compression{ServerTakeover: true, ClientTakeover: true,
			ServerWindowBits: 10, ClientWindowBits: 11},
			base + "; client_max_window_bits", base + "; server_max_window_bits=10; client_max_window_bits=11",
			wsproto.Deflate{ServerMaxWindowBits: 10, ClientMaxWindowBits: 11}},
		{"no budget for windows", websocket.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 1},
			base, base + "; server_no_context_takeover; client_no_context_takeover",
			wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, address := start(t, &websocket.Server{Message: echo, Compression: &c.server}, engine.Config{Loops: 1})
			d := dialDeflate(t, address, c.offer, c.deflate)
			if d.agreed != c.agreed {
				t.Fatalf("agreed on %q, want %q", d.agreed, c.agreed)
			}
			var sizes []int
			for range 2 {
				for i, m := range deflateMessages {
					d.send(t, []wsproto.Opcode{wsproto.Text, wsproto.Binary}[i%2], m)
					d.expect(t, m)
					if compressed := d.rsv == wsproto.RSV1; compressed != (len(m) >= 256) {
						t.Errorf("a message of %d bytes came compressed: %v", len(m), compressed)
					}
					if i == 0 {
						sizes = append(sizes, d.size)
					}
				}
			}
			if takeover := !c.deflate.ServerNoContextTakeover; takeover != (sizes[1] < sizes[0]) &&
				c.deflate.ServerMaxWindowBits == 0 {
				t.Errorf("context takeover %v: the same message took %d bytes and then %d", takeover, sizes[0],
					sizes[1])
			}
		})
	}
}

func TestCompressionIsOffUnlessAskedFor(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	if c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{}); c.agreed != "" {
		t.Errorf("agreed on %q", c.agreed)
	}
	_, address = start(t, &websocket.Server{Message: echo, Compression: &websocket.Compression{},
		Handshake: func(u *websocket.Handshake) { u.NoCompression = true }}, engine.Config{Loops: 1})
	if c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{}); c.agreed != "" {
		t.Errorf("with NoCompression: agreed on %q", c.agreed)
	}
	_, address = start(t, &websocket.Server{Message: echo, Compression: &websocket.Compression{}},
		engine.Config{Loops: 1})
	if c := dialDeflate(t, address, "permessage-deflate; server_max_window_bits=99",
		wsproto.Deflate{}); c.agreed != "" {
		t.Errorf("an offer that cannot be honoured: agreed on %q", c.agreed)
	}
	dial(t, address).ask(t, ws.OpText, strings.Repeat("a client without compression ", 100))
}

// TestPlainMessagesOnACompressedConnection: what is sent by SendPlain, or is not smaller when
// compressed, has no RSV1, and the messages after it are right all the same.
func TestPlainMessagesOnACompressedConnection(t *testing.T) {
	noise := make([]byte, 1000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	secret := strings.Repeat("secret ", 100)
	_, address := start(t, &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			c.SendPlain(websocket.Text, []byte(secret))
			c.Send(websocket.Binary, noise)
			c.Send(op, data)
		},
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
	}, engine.Config{Loops: 1})
	c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	for range 3 {
		c.send(t, wsproto.Text, secret)
		for i, want := range []string{secret, string(noise), secret} {
			c.expect(t, want)
			if compressed := c.rsv != 0; compressed != (i == 2) {
				t.Errorf("message %d is compressed: %v", i, compressed)
			}
		}
	}
}
