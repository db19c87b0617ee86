package deflate_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// fragments returns a compressed message in frames of the given sizes; what is left is the last.
func fragments(op wsproto.Opcode, packed []byte, sizes ...int) (out []byte) {
	h := wsproto.Header{RSV: wsproto.RSV1, Opcode: op, Masked: true, Key: key}
	for i := range len(sizes) + 1 {
		part := packed
		if i < len(sizes) {
			part = packed[:sizes[i]]
		}
		packed = packed[len(part):]
		h.Fin, h.Length = i == len(sizes), uint64(len(part))
		n := len(wsproto.AppendHeader(out, h))
		out = append(wsproto.AppendHeader(out, h), part...)
		wsproto.Mask(out[n:], key)
		h.RSV, h.Opcode = 0, wsproto.Continuation
	}
	return out
}

// TestInflateStepChangesNothing: a message that is inflated step by step is the same message, or
// the same error, however it arrives.
func TestInflateStepChangesNothing(t *testing.T) {
	random := make([]byte, 50_000)
	rand.NewChaCha8([32]byte{}).Read(random)
	text := strings.Repeat("Ελλάδα and other words, ", 8000)
	zeros := strings.Repeat("\x00", 300_000)
	pack := func(s string) []byte { return packed(t, s, nil, 1, 15) }
	// two last blocks, and then a message
	blocks := append(pack(text)[:0:0], 0x03, 0x00, 0x03, 0x00)
	blocks = append(blocks, pack(text)...)
	for _, c := range []struct {
		name   string
		input  []byte
		config wsproto.Config
		want   wsproto.CloseCode
	}{
		{name: "one frame", input: frame(wsproto.Text, pack(text))},
		{name: "fragments", input: fragments(wsproto.Text, pack(text), 10, 0, 100)},
		{name: "empty last fragment", input: fragments(wsproto.Binary, pack(zeros), len(pack(zeros)))},
		{name: "incompressible", input: frame(wsproto.Binary, pack(string(random)))},
		{name: "several", input: slices.Concat(frame(wsproto.Binary, pack(zeros)), frame(wsproto.Text, pack("short")),
			frame(wsproto.Text, pack(text)))},
		{name: "takeover", input: append(frame(wsproto.Text, pack(text)),
			frame(wsproto.Text, packed(t, text, []byte(text[len(text)-1000:]), 1, 15))...)},
		{name: "last blocks", input: frame(wsproto.Text, blocks)},
		{name: "empty", input: frame(wsproto.Text, pack(""))},
		{name: "no text", input: frame(wsproto.Text, pack(text+"\xff")), want: wsproto.InvalidPayload},
		{name: "half a letter", input: frame(wsproto.Text, pack(text+"\xce")), want: wsproto.InvalidPayload},
		{name: "too big", input: frame(wsproto.Binary, pack(zeros)),
			config: wsproto.Config{Limits: wsproto.Limits{MaxMessage: 200_000}}, want: wsproto.MessageTooBig},
		{name: "corrupt", input: frame(wsproto.Binary, append(pack(zeros), 0xff, 0xff)), want: wsproto.InvalidPayload},
	} {
		whole, err := receive(session(c.config, wsproto.Deflate{}), slices.Clone(c.input), len(c.input))
		if code(err) != c.want || c.want == 0 && len(whole) == 0 {
			t.Fatalf("%s: %d messages, %v", c.name, len(whole), err)
		}
		for _, step := range []int{1, 5000, 64 << 10, 1 << 30} {
			for _, piece := range []int{1, 7, len(c.input)} {
				config := c.config
				config.InflateStep = step
				s := session(config, wsproto.Deflate{})
				got, err := receive(s, slices.Clone(c.input), piece)
				if !slices.Equal(got, whole) || code(err) != c.want {
					t.Errorf("%s, steps of %d, pieces of %d: %d messages, %v", c.name, step, piece, len(got), err)
				}
				if s.Next(nil); s.Held() != 0 { // takes back what the last event has lent out
					t.Errorf("%s, steps of %d: %d bytes are held", c.name, step, s.Held())
				}
			}
		}
	}
}

// TestInflateStepBoundsWork: no call of Next inflates much more than a step, and what is held
// meanwhile is counted and given back.
func TestInflateStepBoundsWork(t *testing.T) {
	const step, slack = 64 << 10, 32 << 10
	n, most, calls := 0, 0, 0
	s := session(wsproto.Config{InflateStep: step,
		Compressor: counting{deflate.New(deflate.Compression{}), &n}}, wsproto.Deflate{ServerNoContextTakeover: true})
	input := frame(wsproto.Binary, packed(t, strings.Repeat("\x00", 1<<20), nil, 1, 15))
	for {
		n = 0
		ev, k, err := s.Next(input)
		if err != nil {
			t.Fatal(err)
		}
		input = input[k:]
		most = max(most, n)
		calls++
		if ev.Kind == wsproto.EventMessage {
			if len(ev.Payload) != 1<<20 {
				t.Errorf("%d bytes", len(ev.Payload))
			}
			break
		}
		if !s.Inflating() || len(input) != 1 || !s.InMessage() || s.Held() < step {
			t.Fatalf("%d bytes are left, in a message: %t, %d bytes held", len(input), s.InMessage(), s.Held())
		}
		if calls == 1 {
			ended := session(wsproto.Config{InflateStep: step}, wsproto.Deflate{})
			ended.Next(frame(wsproto.Binary, packed(t, strings.Repeat("\x00", 1<<20), nil, 1, 15)))
			if ended.Release(); ended.Held() != 0 {
				t.Errorf("%d bytes are held after Release", ended.Held())
			}
		}
	}
	if most > step+slack || calls < 10 {
		t.Errorf("up to %d bytes in %d calls", most, calls)
	}
	if s.Next(nil); s.Held() != 0 {
		t.Errorf("%d bytes are held", s.Held())
	}
}

// TestStepsLeaveNoGoroutine: a message that was inflated in part and then ended by an error, or by
// Release, left the decompressor's goroutine and its memory for ever.
func TestStepsLeaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		s := session(wsproto.Config{InflateStep: 64 << 10, Limits: wsproto.Limits{MaxMessage: 1 << 20}},
			wsproto.Deflate{})
		_, err := receive(s, frame(wsproto.Binary, packed(t, strings.Repeat("\x00", 2<<20), nil, 1, 15)), 1<<20)
		if code(err) != wsproto.MessageTooBig {
			t.Fatal(err)
		}
		s = session(wsproto.Config{InflateStep: 64 << 10}, wsproto.Deflate{})
		input := frame(wsproto.Binary, packed(t, strings.Repeat("\x00", 1<<20), nil, 1, 15))
		for range 5 {
			_, n, _ := s.Next(input)
			input = input[n:]
		}
		if !s.Inflating() {
			t.Fatal("the message has ended")
		}
		s.Release()
	}
	waitForGoroutines(t, before)
}

// emptyBlocks returns a compressed message without content, of about size bytes: blocks with codes
// of their own (RFC 1951 section 3.2.7), of 12 bytes, which take a decompressor 2 us each.
func emptyBlocks(size int) (b []byte) {
	n := 0
	put := func(v, bits int) {
		for i := range bits {
			if n%8 == 0 {
				b = append(b, 0)
			}
			b[n/8] |= byte(v >> i & 1 << (n % 8))
			n++
		}
	}
	for len(b) < size {
		put(0b100, 3) // not the last block, dynamic codes
		put(0, 5+5)   // 257 codes for literals and lengths, one for distances
		put(14, 4)    // 18 codes for the lengths of codes, in the order of the RFC
		for i := range 18 {
			put(map[int]int{2: 1, 17: 1}[i], 3) // of 18 (0 follows so many times) and of 1
		}
		for _, zeros := range []int{138, 118} {
			put(1, 1)
			put(zeros-11, 7)
		}
		put(0, 1+1) // the codes of the end of a block and of a distance are 1 bit long
		put(0, 1)   // the end of the block
	}
	put(0, 3) // a block that is stored, to which the Tail belongs
	return b
}

// TestEmptyBlocksAreSteps: a message of 1 MiB that inflates to nothing took 200 ms at once.
func TestEmptyBlocksAreSteps(t *testing.T) {
	const size, most = 1 << 20, 4 << 10
	for _, c := range []struct {
		name string
		wsproto.Config
		input []byte
	}{
		{"whole", wsproto.Config{}, frame(wsproto.Binary, emptyBlocks(size))},
		{"pieces", wsproto.Config{Stream: true}, frame(wsproto.Binary, emptyBlocks(size))},
		{"pieces, fragments", wsproto.Config{Stream: true}, fragments(wsproto.Binary, emptyBlocks(size),
			slices.Repeat([]int{1000}, size/1000)...)},
	} {
		c.Config.InflateStep = 64 << 10
		n := 0
		c.Config.Compressor = counting{deflate.New(deflate.Compression{}), &n}
		s := session(c.Config, wsproto.Deflate{})
		for calls := 0; ; calls++ {
			n = 0
			ev, k, err := s.Next(c.input)
			if err != nil {
				t.Fatal(err)
			}
			c.input = c.input[k:]
			if n > most {
				t.Fatalf("%s: %d compressed bytes at once", c.name, n)
			}
			if ev.Kind != wsproto.EventNone {
				if len(ev.Payload) != 0 || len(c.input) != 0 || calls < size/most/2 {
					t.Errorf("%s: %d bytes, %d left, %d calls", c.name, len(ev.Payload), len(c.input), calls)
				}
				break
			}
			if !s.Inflating() || len(c.input) == 0 {
				t.Fatalf("%s: inflating: %t, %d bytes are left", c.name, s.Inflating(), len(c.input))
			}
		}
	}
}
