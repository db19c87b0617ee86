package websocket_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// The Autobahn suite's sections 12 and 13: compressed messages of eighteen shapes, of five kinds of
// data with the default offer (12.1 to 12.5), and with seven offers (13.1 to 13.7). The suite sends
// each message a thousand times; here it is as often as makes half a megabyte, and three times at
// least.

// shapes are the suite's sizes of messages and, for the longest, of its fragments.
var shapes = []struct{ size, fragment int }{
	{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
	{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096},
	{131072, 32768},
}

// kinds are texts and bytes that compress as the suite's do.
var kinds = []struct {
	name string
	op   wsproto.Opcode
	make func(rng *rand.Rand, size int) []byte
}{
	{"JSON", wsproto.Text, func(rng *rand.Rand, size int) []byte {
		b := []byte("[")
		for len(b) < size {
			b = fmt.Appendf(b, `{"id":%d,"name":"user %d","active":%v,"score":%.3f},`, rng.IntN(1e6), rng.IntN(100),
				rng.IntN(2) == 0, rng.Float64())
		}
		return b[:size]
	}},
	{"an image", wsproto.Binary, func(rng *rand.Rand, size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i>>4) + byte(rng.IntN(16))
		}
		return b
	}},
	{"prose", wsproto.Text, func(rng *rand.Rand, size int) []byte {
		words := strings.Fields("Habe nun ach Philosophie Juristerei und Medizin " +
			"und leider auch Theologie durchaus studiert mit heissem Bemuehn")
		var b []byte
		for len(b) < size {
			b = append(append(b, words[rng.IntN(len(words))]...), ' ')
		}
		return b[:size]
	}},
	{"the same again", wsproto.Text, func(_ *rand.Rand, size int) []byte { return []byte(strings.Repeat("*", size)) }},
	{"noise", wsproto.Binary, func(rng *rand.Rand, size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}},
}

func TestAutobahnCompression(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo,
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true}},
		engine.Config{Loops: 1})
	const base = "permessage-deflate"
	cases := 0
	for i, kind := range kinds {
		t.Run(fmt.Sprintf("12.%d %s", i+1, kind.name), func(t *testing.T) {
			for _, s := range shapes {
				cases++
				exchangeShape(t, dialDeflate(t, address, base, wsproto.Deflate{}), kind.op, kind.make, s.size,
					s.fragment)
			}
		})
	}
	for i, c := range []struct {
		offer   string
		deflate wsproto.Deflate
	}{
		{base, wsproto.Deflate{}},
		{base + "; server_no_context_takeover", wsproto.Deflate{ServerNoContextTakeover: true}},
		{base + "; server_max_window_bits=9", wsproto.Deflate{ServerMaxWindowBits: 9}},
		{base + "; server_max_window_bits=15", wsproto.Deflate{ServerMaxWindowBits: 15}},
		{base + "; server_no_context_takeover; server_max_window_bits=9",
			wsproto.Deflate{ServerNoContextTakeover: true, ServerMaxWindowBits: 9}},
		{base + "; server_no_context_takeover; server_max_window_bits=15",
			wsproto.Deflate{ServerNoContextTakeover: true, ServerMaxWindowBits: 15}},
		{base + "; server_no_context_takeover; server_max_window_bits=9, " + base + "; server_no_context_takeover, " +
			base,
			wsproto.Deflate{ServerNoContextTakeover: true, ServerMaxWindowBits: 9}},
	} {
		t.Run(fmt.Sprintf("13.%d %s", i+1, c.offer), func(t *testing.T) {
			for _, s := range shapes {
				cases++
				d := dialDeflate(t, address, c.offer, c.deflate)
				if want := string(handshake.AppendDeflate(nil, c.deflate)); d.agreed != want {
					t.Fatalf("agreed on %q, want %q", d.agreed, want)
				}
				exchangeShape(t, d, wsproto.Text, kinds[0].make, s.size, s.fragment)
			}
		})
	}
	if cases != (5+7)*18 {
		t.Errorf("%d cases", cases)
	}
}

func exchangeShape(t *testing.T, c *deflatePeer, op wsproto.Opcode, data func(*rand.Rand, int) []byte, size,
	fragment int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(size), uint64(fragment)))
	volume := 512 << 10
	if raceEnabled { // which makes compression thirty times slower
		volume = 32 << 10
	}
	for range max(3, min(1000, volume/size)) {
		text := string(data(rng, size))
		c.sendFragments(t, op, text, fragment)
		c.expect(t, text)
	}
	c.Close()
}

// TestAutobahnCompressionAsClient is the same for a client: the suite's server chooses the
// parameters. The offer of 13.7 is a list that a server chooses from; this client makes one offer,
// and gets the answer to the list's first.
func TestAutobahnCompressionAsClient(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	cases := 0
	run := func(t *testing.T, agreed wsproto.Deflate, op wsproto.Opcode, data func(*rand.Rand, int) []byte,
		size, fragment int) {
		t.Helper()
		cases++
		client := &websocket.Client{Message: echo,
			Compression: &websocket.Compression{ServerTakeover: !agreed.ServerNoContextTakeover,
				ClientTakeover: !agreed.ClientNoContextTakeover, ServerWindowBits: int(agreed.ServerMaxWindowBits)}}
		done := make(chan struct{})
		address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
			defer close(done)
			answer := handshake.AppendDeflate([]byte("Sec-WebSocket-Extensions: "), agreed)
			fmt.Fprint(nc, accept(q, string(answer)+"\r\n"))
			exchangeShape(t, newDeflatePeer(nc, r, wsproto.Server, agreed), op, data, size, fragment)
		})
		if o := open(t, client, eng, "ws://"+address); o.err != nil {
			t.Error(o.err)
		}
		receive(t, "end of the exchange", done)
	}
	for i, kind := range kinds {
		t.Run(fmt.Sprintf("12.%d %s", i+1, kind.name), func(t *testing.T) {
			for _, s := range shapes {
				run(t, wsproto.Deflate{}, kind.op, kind.make, s.size, s.fragment)
			}
		})
	}
	for i, agreed := range []wsproto.Deflate{
		{}, {ServerNoContextTakeover: true}, {ServerMaxWindowBits: 9}, {ServerMaxWindowBits: 15},
		{ServerNoContextTakeover: true, ServerMaxWindowBits: 9},
		{ServerNoContextTakeover: true, ServerMaxWindowBits: 15},
		{ServerNoContextTakeover: true, ServerMaxWindowBits: 9},
	} {
		t.Run(fmt.Sprintf("13.%d", i+1), func(t *testing.T) {
			for _, s := range shapes {
				run(t, agreed, wsproto.Text, kinds[0].make, s.size, s.fragment)
			}
		})
	}
	if cases != (5+7)*18 {
		t.Errorf("%d cases", cases)
	}
}
