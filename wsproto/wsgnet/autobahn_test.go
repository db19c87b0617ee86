package wsgnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
	"github.com/myriadnet/myriad/wsproto/wsgnet"
)

// TestAutobahn runs the Autobahn case list against an echo server, frame by frame, all at once, and
// in pieces, and reads the answers with another library.
func TestAutobahn(t *testing.T) {
	address := serve(t, &wsgnet.Server{
		Limits: wsproto.Limits{MaxMessage: 64 << 20}, MaxOutbound: 64 << 20, Message: echo})
	for c := range autobahn.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			var frames [][]byte
			for _, f := range c.Frames {
				frames = append(frames, f.Append(nil, 0x8040_20F1))
			}
			input := bytes.Join(frames, nil)
			piece := max(c.Chop, 1)
			if len(input) > 4<<10 {
				piece = max(c.Chop, 1300)
			}
			for how, pieces := range map[string][][]byte{
				"frame by frame": frames,
				"coalesced":      {input},
				"in pieces":      cut(input, piece),
			} {
				if err := converse(address, pieces, c.Want); err != nil {
					t.Errorf("%s: %v", how, err)
				}
			}
		})
	}
}

func cut(b []byte, n int) (pieces [][]byte) {
	for ; len(b) > n; b = b[n:] {
		pieces = append(pieces, b[:n])
	}
	return append(pieces, b)
}

// converse sends the pieces and wants the echoes of want, and then the end of the stream.
func converse(address string, pieces [][]byte, want []autobahn.Event) error {
	c, early, _, err := ws.Dial(context.Background(), "ws://"+address)
	if err != nil || early != nil {
		return fmt.Errorf("dial: %v, early data: %v", err, early != nil)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() {
		for _, p := range pieces {
			if _, err := c.Write(p); err != nil {
				return // the server has failed the connection: what it said is for the reader
			}
		}
	}()
	for i, w := range want {
		if w.Kind == wsproto.EventPong {
			continue
		}
		if err := expect(c, w); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the close: %d bytes, %v", n, err)
	}
	return nil
}

// expect reads the answer to an event.
func expect(c net.Conn, want autobahn.Event) error {
	switch want.Kind {
	case wsproto.EventPing:
		want.Opcode = wsproto.Pong
	case wsproto.EventClose, wsproto.EventNone:
		want.Opcode = wsproto.Close
	}
	h, err := ws.ReadHeader(c)
	if err != nil {
		return err
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c, payload); err != nil {
		return err
	}
	if err := ws.CheckHeader(h, ws.StateClientSide); err != nil || !h.Fin || byte(h.OpCode) != byte(want.Opcode) {
		return fmt.Errorf("the header %+v, %v", h, err)
	}
	if want.Opcode == wsproto.Close {
		code, _ := ws.ParseCloseFrameData(payload)
		if code.Empty() {
			code = ws.StatusNoStatusRcvd
		}
		if code != ws.StatusCode(want.Code) {
			return fmt.Errorf("close code %d, want %d", code, want.Code)
		}
	} else if !bytes.Equal(payload, want.Payload) {
		return fmt.Errorf("%.40q (%d bytes), want %.40q (%d bytes)", payload, len(payload), want.Payload,
			len(want.Payload))
	}
	return nil
}

// shapes are the sizes of messages and, for the longest, of fragments, of the suite's sections 12
// and 13.
var shapes = []struct{ size, fragment int }{
	{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
	{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096},
	{131072, 32768},
}

// kinds are texts and bytes that compress as the suite's do.
var kinds = []struct {
	name string
	op   wsproto.Opcode
	make func(rng *rand.Rand, size int) string
}{
	{"JSON", wsproto.Text, func(rng *rand.Rand, size int) string {
		b := []byte("[")
		for len(b) < size {
			b = fmt.Appendf(b, `{"id":%d,"name":"user %d","active":%v},`, rng.IntN(1e6), rng.IntN(100),
				rng.IntN(2) == 0)
		}
		return string(b[:size])
	}},
	{"an image", wsproto.Binary, func(rng *rand.Rand, size int) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i>>4) + byte(rng.IntN(16))
		}
		return string(b)
	}},
	{"prose", wsproto.Text, func(rng *rand.Rand, size int) string {
		words := strings.Fields("Da steh ich nun ich armer Tor und bin so klug als wie zuvor")
		var b []byte
		for len(b) < size {
			b = append(append(b, words[rng.IntN(len(words))]...), ' ')
		}
		return string(b[:size])
	}},
	{"the same again", wsproto.Text, func(_ *rand.Rand, size int) string { return strings.Repeat("*", size) }},
	{"noise", wsproto.Binary, func(rng *rand.Rand, size int) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}},
}

// TestAutobahnCompression runs sections 12 and 13: every kind of data with the default offer, and
// JSON with the other offers, in eighteen shapes.
func TestAutobahnCompression(t *testing.T) {
	address := serve(t, &wsgnet.Server{Message: echo,
		Compression: &deflate.Compression{ServerTakeover: true, ClientTakeover: true}})
	exchange := func(t *testing.T, offer wsproto.Deflate, kind int) {
		for _, s := range shapes {
			p := wstest.Dial(t, "ws://"+address, &wstest.Offer{Deflate: &offer})
			if p.Deflate == nil {
				t.Fatal("no compression")
			}
			rng := rand.New(rand.NewPCG(uint64(s.size), uint64(s.fragment)))
			for range max(3, min(100, 64<<10/s.size)) {
				data := kinds[kind].make(rng, s.size)
				p.SendFrames(fragments(p.Compressed(kinds[kind].op, data), s.fragment)...)
				p.Expect(kinds[kind].op, data)
			}
			p.Close(wsproto.NormalClosure, "")
		}
	}
	for i, kind := range kinds {
		t.Run(fmt.Sprintf("12.%d %s", i+1, kind.name), func(t *testing.T) { exchange(t, wsproto.Deflate{}, i) })
	}
	for i, offer := range []wsproto.Deflate{
		{}, {ServerNoContextTakeover: true}, {ServerMaxWindowBits: 9}, {ServerMaxWindowBits: 15},
		{ServerNoContextTakeover: true, ServerMaxWindowBits: 9},
		{ServerNoContextTakeover: true, ServerMaxWindowBits: 15},
	} {
		t.Run(fmt.Sprintf("13.%d", i+1), func(t *testing.T) { exchange(t, offer, 0) })
	}
}

// fragments cuts a message into frames of size bytes.
func fragments(f wstest.Frame, size int) (frames []wstest.Frame) {
	rest := f.Payload
	for size > 0 && len(rest) > size {
		f.Payload, f.More, rest = rest[:size], true, rest[size:]
		frames = append(frames, f)
		f.Opcode, f.RSV = wsproto.Continuation, 0
	}
	f.Payload, f.More = rest, false
	return append(frames, f)
}
