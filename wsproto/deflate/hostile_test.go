package deflate_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// TestCompressedBomb (CVE-2026-1526): the limits hold while a message is inflated, not afterwards.
func TestCompressedBomb(t *testing.T) {
	zeros := packed(t, strings.Repeat("\x00", 64<<20), nil, 9, 15)
	var taken int
	for _, c := range []struct {
		name   string
		config wsproto.Config
		most   int
	}{
		{"size", wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 20}, Compressor: ratio(2000)}, 1 << 20},
		{"ratio", wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 30}, Compressor: ratio(10)}, 4 << 20},
		{"default ratio", wsproto.Config{}, 4 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.MaxMessage == 0 {
				c.config.MaxMessage = -1
			}
			if c.config.Compressor == nil {
				c.config.Compressor = deflate.New(deflate.Compression{})
			}
			c.config.Compressor = counting{c.config.Compressor, &taken}
			s := wsproto.NewReceiver(&c.config, new(wsproto.Deflate))
			taken = 0
			_, err := receive(&s, frame(wsproto.Binary, zeros), 1<<20)
			if code(err) != wsproto.MessageTooBig {
				t.Errorf("%v", err)
			}
			if taken > c.most+32<<10 {
				t.Errorf("%d bytes were inflated before it was refused, the limit is %d", taken, c.most)
			}
		})
	}
}

// TestRatio: the ratio is checked above 4 MiB only, and a message within it passes at any size.
func TestRatio(t *testing.T) {
	text := make([]byte, 6<<20)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range text {
		text[i] = "0123456789abcdef"[rng.IntN(16)]
	}
	for _, c := range []struct {
		name    string
		message string
		want    wsproto.CloseCode
	}{
		{"6 MiB, by two", string(text), 0},
		{"4 MiB of zeros", strings.Repeat("\x00", 4<<20), 0},
		{"4 MiB of zeros and one", strings.Repeat("\x00", 4<<20+1), wsproto.MessageTooBig},
	} {
		got, err := receive(session(wsproto.Config{}, wsproto.Deflate{}),
			frame(wsproto.Binary, packed(t, c.message, nil, 1, 15)), 1<<20)
		if code(err) != c.want || c.want == 0 && (len(got) != 1 || got[0] != c.message) {
			t.Errorf("%s: %d messages, %v", c.name, len(got), err)
		}
	}
}

// counting counts what is inflated at once, and what is taken of a stream.
type counting struct {
	wsproto.Compressor
	n *int
}

type countingSink struct {
	compress.Sink
	n *int
}

func (c counting) Inflate(src, window []byte, to compress.Sink) error {
	return c.Compressor.Inflate(src, window, countingSink{to, c.n})
}

// Stream counts the compressed bytes.
func (c counting) Stream(window []byte) compress.Flow {
	return countingFlow{c.Compressor.Stream(window), c.n}
}

type countingFlow struct {
	compress.Flow
	n *int
}

func (f countingFlow) Next(src []byte, last bool) (n int, piece []byte, err error) {
	n, piece, err = f.Flow.Next(src, last)
	*f.n += n
	return n, piece, err
}

func (s countingSink) Inflated(b []byte, taken int) error {
	*s.n += len(b)
	return s.Sink.Inflated(b, taken)
}

// takenSink notes how much was taken at each size of the output.
type takenSink struct {
	size  int
	taken map[int]int
}

func (s *takenSink) Inflated(b []byte, taken int) error {
	s.size += len(b)
	s.taken[s.size] = taken
	return nil
}

func (s *takenSink) Output() []byte { return nil }

// TestTakenIsNotReadAhead: the ratio of a bomb gets no better by what follows it.
func TestTakenIsNotReadAhead(t *testing.T) {
	const window = 1 << wsproto.MaxWindowBits
	zeros := string(packed(t, strings.Repeat("\x00", 4*window), nil, 9, 15)) + compress.Tail
	rest := make([]byte, 3000)
	rand.NewChaCha8([32]byte{}).Read(rest)
	message := append([]byte(zeros), packed(t, string(rest), nil, 1, 15)...)
	s := &takenSink{taken: map[int]int{}}
	if err := deflate.New(deflate.Compression{}).Inflate(message, nil, s); err != nil {
		t.Fatal(err)
	}
	if n, ok := s.taken[window]; !ok || n == 0 || n > len(zeros) {
		t.Errorf("taken when there was a window: %d of %d bytes (%v)", n, len(zeros), s.taken)
	}
	if n := s.taken[4*window+len(rest)]; n != len(message) {
		t.Errorf("taken at the end: %d of %d bytes (%v)", n, len(message), s.taken)
	}
}

// TestEmptyLastBlocksAreCounted: each of them is two bytes, and costs the set-up of a decompressor.
func TestEmptyLastBlocksAreCounted(t *testing.T) {
	many := append(bytes.Repeat([]byte{0x03, 0x00}, 100_000), 0)
	_, err := receive(session(wsproto.Config{}, wsproto.Deflate{}), frame(wsproto.Binary, many), 1<<20)
	if code(err) != wsproto.PolicyViolation {
		t.Errorf("100,000 empty last blocks: %v", err)
	}
	for n, want := range map[int]wsproto.CloseCode{16: 0, 17: wsproto.PolicyViolation} {
		_, err := receive(session(wsproto.Config{}, wsproto.Deflate{}),
			frame(wsproto.Binary, append(bytes.Repeat([]byte{0x03, 0x00}, n), 0)), 1<<20)
		if code(err) != want {
			t.Errorf("%d last blocks: %v", n, err)
		}
	}
	// empty stored blocks are no more work than their bytes
	stored := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 100_000)
	plain := session(wsproto.Config{}, wsproto.Deflate{})
	if got, err := receive(plain, frame(wsproto.Binary, append(stored, 0)), 1<<20); err != nil || len(got) != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
}

// TestCompressedGarbage: broken data is an error with 1007, and does not affect the next
// connection.
func TestCompressedGarbage(t *testing.T) {
	good := packed(t, strings.Repeat("good data ", 100), nil, 5, 15)
	for name, bad := range map[string][]byte{
		"reserved block type":  {0x07},
		"cut off":              good[:len(good)/2],
		"too far back":         []byte("\xf2\x00\x11\x00\x00"),
		"stored block cut off": []byte("\x00\xff\xff\x00\x00short"),
		"code table cut off":   {0x04},
		"table in a last one":  {0x05},
		"only a table's size":  {0xfc, 0xff},
		"last block cut off":   []byte("\xf3\x48\xcd\xc9\xc9\x07"),
		"half a last block":    []byte("\xf3\x48\xcd"),
		"behind a last block":  []byte("\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff"),
		"nothing":              {},
	} {
		_, err := receive(session(wsproto.Config{}, wsproto.Deflate{}), frame(wsproto.Binary, bad), 1<<20)
		if name != "nothing" && code(err) != wsproto.InvalidPayload {
			t.Errorf("%s: %v", name, err)
		}
		stream := session(wsproto.Config{Stream: true}, wsproto.Deflate{})
		if _, streamed := receive(stream, frame(wsproto.Binary, bad), 1); code(streamed) != code(err) {
			t.Errorf("%s, streamed: %v", name, streamed)
		}
		if err != nil && err.Error() != "websocket: compressed data is corrupt (section 7.2.2 of RFC 7692)" {
			t.Errorf("%s: %v", name, err)
		}
		plain := session(wsproto.Config{}, wsproto.Deflate{})
		if got, err := receive(plain, frame(wsproto.Binary, good), 1<<20); err != nil || len(got) != 1 {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// TestMessageCutOff: no beginning of a message is accepted as a message.
func TestMessageCutOff(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	text := make([]byte, 2000)
	for i := range text {
		text[i] = "etaoinshrdlu"[min(rng.IntN(12), rng.IntN(12))]
	}
	for _, level := range []int{1, 5, 9} {
		good := packed(t, string(text), nil, level, 15)
		for n := range good {
			for _, stream := range []bool{false, true} {
				_, err := receive(session(wsproto.Config{Stream: stream}, wsproto.Deflate{}),
					frame(wsproto.Binary, good[:n]), 1<<20)
				if n > 0 && code(err) != wsproto.InvalidPayload {
					t.Errorf("level %d, %d of %d bytes, streamed %v: %v", level, n, len(good), stream, err)
				}
			}
		}
	}
}

// TestCompressedTextIsChecked: the inflated text is checked, across the borders of steps and
// fragments.
func TestCompressedTextIsChecked(t *testing.T) {
	long := strings.Repeat("käse ", 20_000)
	for text, want := range map[string]wsproto.CloseCode{long: 0, long + "\xff": wsproto.InvalidPayload,
		"\xc3": wsproto.InvalidPayload, "k\xc3\xa4se": 0} {
		s := session(wsproto.Config{}, wsproto.Deflate{})
		_, err := receive(s, frame(wsproto.Text, packed(t, text, nil, 1, 15)), 100)
		if code(err) != want {
			t.Errorf("%.10q: %v, want code %d", text, err, want)
		}
	}
}

// TestCompressionRules: RSV1 may be set on the first frame of a data message only, and only if that
// was agreed on. Fragments may be cut anywhere.
func TestCompressionRules(t *testing.T) {
	c := packed(t, "Hello, Hello, Hello", nil, 1, 15)
	part := func(op wsproto.Opcode, rsv byte, fin bool, b []byte) []byte {
		out := wsproto.AppendHeader(nil, wsproto.Header{Fin: fin, RSV: rsv, Opcode: op, Masked: true, Key: key,
			Length: uint64(len(b))})
		n := len(out)
		out = append(out, b...)
		wsproto.Mask(out[n:], key)
		return out
	}
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	const rsv = wsproto.RSV1
	for _, t1 := range []struct {
		name  string
		input []byte
		want  wsproto.CloseCode
	}{
		{"in fragments", join(part(1, rsv, false, c[:3]), part(0, 0, false, nil), part(0, 0, true, c[3:])), 0},
		{"a ping between", join(part(1, rsv, false, c[:3]), part(9, 0, true, nil), part(0, 0, true, c[3:])), 0},
		{"not compressed", part(1, 0, true, []byte("Hello")), 0},
		{"RSV1 on a continuation", join(part(1, rsv, false, c[:3]), part(0, rsv, true, c[3:])), wsproto.ProtocolFault},
		{"RSV1 on a ping", part(9, rsv, true, nil), wsproto.ProtocolFault},
		{"RSV1 on a close", part(8, rsv, true, nil), wsproto.ProtocolFault},
		{"RSV2", part(1, 2, true, c), wsproto.ProtocolFault},
		{"RSV1 and RSV3", part(1, rsv|1, true, c), wsproto.ProtocolFault},
	} {
		for _, piece := range []int{1 << 20, 1} {
			got, err := receive(session(wsproto.Config{}, wsproto.Deflate{}), bytes.Clone(t1.input), piece)
			if code(err) != t1.want || t1.want == 0 && (len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "Hello")) {
				t.Errorf("%s: %q, %v", t1.name, got, err)
			}
		}
	}
	plain := wsproto.NewReceiver(&wsproto.Config{}, nil)
	if _, err := receive(&plain, frame(wsproto.Text, c), 1<<20); code(err) != wsproto.ProtocolFault {
		t.Errorf("RSV1 that was not agreed on: %v", err)
	}
}
