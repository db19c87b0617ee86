package load

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// counter is a job that counts replies.
type counter struct{ replies int }

func (j *counter) arrived(_ *conn, n int) error {
	j.replies += n
	return nil
}
func (j *counter) lost(*conn) {}

// feed feeds a stream to a connection, in pieces of random sizes up to piece bytes. It returns the
// replies and wrong replies that the connection counted, and whether it failed.
func feed(t testing.TB, m *message, stream []byte, rng *rand.Rand, piece int) (replies int, wrong uint64, failed bool) {
	t.Helper()
	j := &counter{}
	k := &conn{w: &worker{session: &Session{message: m}, job: j}}
	for rest := bytes.Clone(stream); len(rest) > 0; { // Feed may change it
		n := 1 + rng.IntN(min(piece, len(rest)))
		took, err := k.Feed(slices.Clip(rest[:n]))
		if took != n {
			t.Fatalf("Feed took %d bytes of %d", took, n)
		}
		if err != nil {
			return j.replies, k.w.wrong, true
		}
		rest = rest[n:]
	}
	return j.replies, k.w.wrong, false
}

func mustMessage(t testing.TB, c Config) *message {
	t.Helper()
	m, err := newMessage(&c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// frames returns a message's payload in frames of the given sizes.
func frames(payload []byte, sizes ...int) (b []byte) {
	op := wsproto.Binary
	for i, n := range sizes {
		b = wsproto.AppendHeader(b, wsproto.Header{Fin: i == len(sizes)-1, Opcode: op, Length: uint64(n)})
		b = append(b, payload[:n]...)
		payload, op = payload[n:], wsproto.Continuation
	}
	return b
}

// TestRepliesInAnyPieces checks that replies are counted and wrong ones are noticed, however the
// network or the server splits them.
func TestRepliesInAnyPieces(t *testing.T) {
	const size = 200
	p := payload(size, false)
	text := payload(size, true)
	other := bytes.Clone(p)
	other[size/2] ^= 1
	whole, wrong := frames(p, size), frames(other, size)
	compressed, err := deflate.Append(nil, text, nil, 1, wsproto.MaxWindowBits)
	if err != nil {
		t.Fatal(err)
	}
	h := wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Binary, Length: uint64(len(compressed))}
	squeezed := append(wsproto.AppendHeader(nil, h), compressed...)
	long := append([]byte{0x82, 126, 0, size}, p...)
	pong := wsproto.AppendFrame(nil, wsproto.Pong, []byte("unasked"))
	ws, tcp := Config{Protocol: "ws", Size: size}, Config{Protocol: "tcp", Size: size}
	wsText := Config{Protocol: "ws", Size: size, Text: true}
	fragments := slices.Concat(frames(p, 0, 1, 199), frames(p, 100, 100, 0))
	for _, c := range []struct {
		name    string
		config  Config
		stream  [][]byte
		replies int
		wrong   uint64
		failed  bool
	}{
		{name: "ws", config: ws, stream: [][]byte{whole, whole, whole}, replies: 3},
		{name: "in fragments", config: ws, stream: [][]byte{whole, fragments, whole}, replies: 4},
		{name: "as short as can be", config: ws, stream: [][]byte{whole, long, whole}, replies: 3},
		{name: "with a pong between", config: ws, stream: [][]byte{whole, pong, whole, pong}, replies: 2},
		{name: "a wrong byte", config: ws, stream: [][]byte{whole, wrong, whole}, replies: 3, wrong: 1},
		{name: "a byte too few", config: ws,
			stream: [][]byte{whole, frames(p, size-1), whole}, replies: 3, wrong: 1},
		{name: "a byte too many", config: ws,
			stream: [][]byte{whole, frames(append(bytes.Clone(p), 'x'), size+1), whole}, replies: 3, wrong: 1},
		{name: "text", config: wsText,
			stream: [][]byte{wsproto.AppendFrame(nil, wsproto.Text, text), frames(text, size)}, replies: 2, wrong: 1},
		{name: "no WebSocket", config: ws, stream: [][]byte{whole, p}, replies: 1, failed: true},
		{name: "compressed", config: Config{Protocol: "ws", Size: size, Compress: true},
			stream: [][]byte{squeezed, frames(text, size), frames(p, size), squeezed}, replies: 4, wrong: 1},
		{name: "compressed, unasked", config: ws, stream: [][]byte{squeezed}, failed: true},
		{name: "tcp", config: tcp, stream: [][]byte{p, p, p, p[:100]}, replies: 3},
		{name: "tcp, a wrong byte", config: tcp, stream: [][]byte{p, other, p, other, other}, replies: 5, wrong: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, stream := mustMessage(t, c.config), slices.Concat(c.stream...)
			for seed := range uint64(40) {
				rng := rand.New(rand.NewPCG(seed, 0))
				piece := []int{1, 3, 50, size + 4, 1 << 20}[seed%5]
				replies, wrong, failed := feed(t, m, stream, rng, piece)
				if replies != c.replies || wrong != c.wrong || failed != c.failed {
					t.Fatalf("in pieces of up to %d: %d replies, %d wrong, failed %v; want %d, %d, %v",
						piece, replies, wrong, failed, c.replies, c.wrong, c.failed)
				}
			}
		})
	}
}

// FuzzFeed checks that what a connection counts does not depend on how the stream is split.
func FuzzFeed(f *testing.F) {
	const size = 7
	p := payload(size, false)
	f.Add(slices.Concat(frames(p, size), frames(p, 3, 4), frames(p, size)), uint64(1), false)
	f.Add(slices.Concat(p, p, p[:3]), uint64(2), true)
	f.Add([]byte("\x82\x07abcdefg\x88\x02\x03\xe8"), uint64(3), false)
	ws, bare := mustMessage(f, Config{Protocol: "ws", Size: size}), mustMessage(f, Config{Protocol: "tcp", Size: size})
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, tcp bool) {
		m := ws
		if tcp {
			m = bare
		} else if hasPing(stream) {
			t.Skip("the connection cannot send a pong")
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		replies, wrong, failed := feed(t, m, stream, rng, 5)
		oneByOne, wrong1, failed1 := feed(t, m, stream, rng, 1)
		if wrong1 != wrong || failed1 != failed || oneByOne != replies {
			t.Errorf("%d replies, %d wrong, failed %v; byte by byte %d, %d, %v",
				replies, wrong, failed, oneByOne, wrong1, failed1)
		}
	})
}

// hasPing reports whether a client that reads stream must send a pong.
func hasPing(stream []byte) bool {
	stream = bytes.Clone(stream)
	for s := wsproto.NewReceiver(&sessionConfig, nil); ; {
		ev, n, err := s.Next(stream)
		switch {
		case ev.Kind == wsproto.EventPing:
			return true
		case err != nil || ev.Kind == wsproto.EventNone || ev.Kind == wsproto.EventClose:
			return false
		}
		stream = stream[n:]
	}
}
