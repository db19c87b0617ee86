package deflate_test

import (
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

const key wsproto.Key = 0x8040_20F1

// frame returns a compressed message as a client sends it, in one frame.
func frame(op wsproto.Opcode, compressed []byte) []byte {
	b := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: op, Masked: true, Key: key,
		Length: uint64(len(compressed))})
	n := len(b)
	b = append(b, compressed...)
	wsproto.Mask(b[n:], key)
	return b
}

// ratio returns a Compressor with this limit of the ratio.
func ratio(n int) wsproto.Compressor { return deflate.New(deflate.Compression{MaxRatio: n}) }

// session returns a Receiver whose only limits are those of c.
func session(c wsproto.Config, d wsproto.Deflate) *wsproto.Receiver {
	c.MaxMessage, c.MaxWhole = cmp.Or(c.MaxMessage, -1), cmp.Or(c.MaxWhole, -1)
	if c.Compressor == nil {
		c.Compressor = deflate.New(deflate.Compression{})
	}
	s := wsproto.NewReceiver(&c, &d)
	return &s
}

// receive gives input to s piece by piece and returns the messages, or the error.
func receive(s *wsproto.Receiver, input []byte, piece int) (got []string, err error) {
	var have []byte
	for len(input) > 0 {
		n := min(piece, len(input))
		have = append(have, input[:n]...)
		input = input[n:]
		for {
			ev, n, err := s.Next(have)
			have = have[n:]
			if err != nil {
				return got, err
			}
			if ev.Kind == wsproto.EventNone && s.Inflating() {
				continue
			}
			if ev.Kind == wsproto.EventNone {
				break
			}
			got = append(got, string(ev.Payload))
		}
	}
	return got, nil
}

func packed(t testing.TB, message string, window []byte, level int, bits uint8) []byte {
	t.Helper()
	b := deflate.New(deflate.Compression{Level: level}).Append([]byte("before"), []byte(message), window, bits)
	if !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("%q", b)
	}
	return b[6:]
}

func code(err error) wsproto.CloseCode {
	var p *wsproto.ProtocolError
	if !errors.As(err, &p) {
		return 0
	}
	return p.Code
}

// TestRFCExamples: RFC 7692 section 7.2.3.
func TestRFCExamples(t *testing.T) {
	for _, c := range []struct {
		name, hex, want string
	}{
		{"one block", "f248cdc9c90700", "Hello"},
		{"no compression", "000500faff48656c6c6f00", "Hello"},
		{"BFINAL set", "f348cdc9c9070000", "Hello"},
		{"two blocks", "f24805000000ffffcac9c90700", "Hello"},
		{"empty", "00", ""},
		{"BFINAL set, twice", "f348cdc9c90700f348cdc9c9070000", "HelloHello"},
	} {
		var raw []byte
		fmt.Sscanf(c.hex, "%x", &raw)
		got, err := receive(session(wsproto.Config{}, wsproto.Deflate{}), frame(wsproto.Text, raw), 1<<20)
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	// Context takeover: the second Hello refers to the first (7.2.3.2).
	s := session(wsproto.Config{}, wsproto.Deflate{})
	input := append(frame(wsproto.Text, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00")),
		frame(wsproto.Text, []byte("\xf2\x00\x11\x00\x00"))...)
	if got, err := receive(s, input, 1<<20); err != nil || strings.Join(got, " ") != "Hello Hello" {
		t.Errorf("%q, %v", got, err)
	}
	s = session(wsproto.Config{}, wsproto.Deflate{ClientNoContextTakeover: true})
	input = append(frame(wsproto.Text, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00")),
		frame(wsproto.Text, []byte("\xf2\x00\x11\x00\x00"))...)
	if got, err := receive(s, input, 1<<20); code(err) != wsproto.InvalidPayload || len(got) != 1 {
		t.Errorf("a message that refers to one before without context takeover: %q, %v", got, err)
	}
}

// TestLastBlockKeepsTheWindow: what follows a last block may refer to what was before it, in the
// same message and in those before.
func TestLastBlockKeepsTheWindow(t *testing.T) {
	hello, again := "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf2\x00\x11\x00\x00"
	for _, c := range []struct{ name, first, second, want string }{
		{"in the message before", hello, "\x03\x00" + again, "Hello Hello"},
		{"in the same message", "\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00" + again, " HelloHello"},
		{"far back", hello, strings.Repeat("\x03\x00", 10) + again, "Hello Hello"},
	} {
		input := append(frame(wsproto.Text, []byte(c.first)), frame(wsproto.Text, []byte(c.second))...)
		if got, err := receive(session(wsproto.Config{}, wsproto.Deflate{}), input, 1<<20); err != nil ||
			strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// TestRoundTrips sends messages of all kinds, with every level, window and kind of takeover, in
// pieces. The standard library must inflate what we compress.
func TestRoundTrips(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	messages := []string{"", "a", "Hello, Hello, Hello", strings.Repeat("tick 12345 price 678.90;", 3000),
		string(noise),
		strings.Repeat("\x00", 100_000), strings.Repeat("tick 12346 price 678.91;", 10),
		string(noise[:3000]) + string(noise[:3000])}
	for level := 1; level <= 9; level++ {
		for bits := uint8(8); bits <= 15; bits++ {
			for _, takeover := range []bool{true, false} {
				d := wsproto.Deflate{ClientMaxWindowBits: bits, ClientNoContextTakeover: !takeover}
				s := session(wsproto.Config{Compressor: ratio(1100)}, d)
				var plain []byte // what was sent with takeover
				for i, m := range messages {
					c := packed(t, m, last(plain, 1<<bits), level, bits)
					if std := standard(t, c, plain[max(0, len(plain)-32<<10):]); std != m {
						t.Fatalf("level %d bits %d message %d: the standard library reads %d bytes, want %d", level,
							bits, i, len(std), len(m))
					}
					piece := []int{1 << 20, 1000, 1}[i%3]
					got, err := receive(s, frame(wsproto.Binary, c), piece)
					if err != nil || len(got) != 1 || got[0] != m {
						t.Fatalf("level %d bits %d takeover %v message %d: %d messages, %v", level, bits, takeover, i,
							len(got), err)
					}
					if takeover {
						plain = append(plain, m...)
					}
				}
				s.Release()
			}
		}
	}
}

// TestWindowIsHonoured: with a window of 2^n bytes nothing refers further back, so that a peer
// which keeps no more can read it.
func TestWindowIsHonoured(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	// from large to small, so that a large one's compressor would be seen
	for bits := uint8(15); bits >= 8; bits-- {
		size := 1 << bits
		noise := make([]byte, size+100)
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		message := string(noise) + string(noise) // the same again, just out of reach
		small := packed(t, message, nil, 1, bits)
		if len(small) < 2*size {
			t.Errorf("bits %d: %d bytes for %d of noise: it refers to what is out of the window", bits, len(small),
				2*len(noise))
		}
	}
}

// TestWholeWindowIsKept: a message may refer back by 32,768 bytes if nothing else was agreed on,
// whatever the size of the messages before.
func TestWholeWindowIsKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	noise := make([]byte, 32<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var again bytes.Buffer
	w, err := flate.NewWriterDict(&again, 9, noise)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(noise)
	w.Flush()
	if again.Len() > 1000 {
		t.Fatalf("%d bytes: it does not refer to what was before", again.Len())
	}
	for _, size := range []int{32 << 10, 10_000, 1} {
		s := session(wsproto.Config{}, wsproto.Deflate{ServerMaxWindowBits: 8})
		for rest := noise; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			message := packed(t, string(rest[:min(size, len(rest))]), nil, 1, 15)
			if _, err := receive(s, frame(wsproto.Binary, message), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		got, err := receive(s, frame(wsproto.Binary, again.Bytes()[:again.Len()-4]), 1<<20)
		if err != nil || len(got) != 1 || got[0] != string(noise) {
			t.Errorf("after messages of %d bytes: %d messages, %v", size, len(got), err)
		}
	}
}

func standard(t *testing.T, compressed, dict []byte) string {
	t.Helper()
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(compressed),
		strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), dict)
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestIncompressibleMessageAtTheLimit: such a message grows a little when it is compressed, and is
// still accepted. A message that is larger after inflating is not.
func TestIncompressibleMessageAtTheLimit(t *testing.T) {
	const limit = 100_000
	rng := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, limit+1)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, stream := range []bool{false, true} {
		for _, test := range []struct {
			size int
			want wsproto.CloseCode
		}{{limit, 0}, {limit + 1, wsproto.MessageTooBig}} {
			raw := packed(t, string(noise[:test.size]), nil, 1, 15)
			if len(raw) <= test.size {
				t.Fatal("the noise is compressible")
			}
			for _, fragment := range []int{1 << 20, 5000} {
				s := session(wsproto.Config{Limits: wsproto.Limits{MaxMessage: limit}, Stream: stream},
					wsproto.Deflate{})
				input := split(wsproto.Server, wsproto.Binary, raw, fragment)
				if _, _, err := read(s, input, 1<<20); code(err) != test.want {
					t.Errorf("%d bytes, streamed %v, in frames of %d: %v", test.size, stream, fragment, err)
				}
			}
		}
	}
}

// TestWindowsOfOtherSizesPanic: a peer could not read what refers further back.
func TestWindowsOfOtherSizesPanic(t *testing.T) {
	for _, bits := range []uint8{0, 7, 16} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bits are accepted", bits)
				}
			}()
			deflate.New(deflate.Compression{}).Append(nil, nil, nil, bits)
		}()
	}
}

// last returns the last n bytes of b.
func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// FuzzInflate: any input is a message or a *ProtocolError, the same for every cut, and the standard
// library agrees about what is accepted.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), 1)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 3)
	f.Add([]byte("\x03\x00\x03\x00\x00"), 2)
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		c := wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 20}}
		whole, err := receive(session(c, wsproto.Deflate{}), frame(wsproto.Binary, raw), 1<<30)
		cut, err2 := receive(session(c, wsproto.Deflate{}), frame(wsproto.Binary, raw), 1+int(uint(piece)%100))
		if code(err) != code(err2) || strings.Join(whole, "|") != strings.Join(cut, "|") ||
			(err != nil) != (code(err) != 0) {
			t.Fatalf("whole: %q, %v; in pieces: %q, %v", whole, err, cut, err2)
		}
		c.InflateStep = 1 + int(uint(piece)%5000)
		stepped, err3 := receive(session(c, wsproto.Deflate{}), frame(wsproto.Binary, raw), 1<<30)
		if code(err) != code(err3) || strings.Join(whole, "|") != strings.Join(stepped, "|") {
			t.Fatalf("whole: %q, %v; in steps: %q, %v", whole, err, stepped, err3)
		}
		if err == nil && len(whole) == 1 && !strings.Contains(string(raw), "\x03\x00") {
			r := flate.NewReader(io.MultiReader(bytes.NewReader(raw),
				strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
			if std, serr := io.ReadAll(r); serr == nil && len(std) <= len(whole[0]) &&
				!strings.HasPrefix(whole[0], string(std)) {
				t.Fatalf("the standard library reads %q, we read %q", std, whole[0])
			}
		}
	})
}
