package deflate_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// split returns a compressed message in frames of n bytes, with a ping behind each, as the peer of
// role sends it.
func split(role wsproto.Role, op wsproto.Opcode, compressed []byte, n int) (b []byte) {
	h := wsproto.Header{RSV: wsproto.RSV1, Opcode: op, Masked: role == wsproto.Server}
	for !h.Fin {
		k := min(n, len(compressed))
		h.Length, h.Fin = uint64(k), k == len(compressed)
		if h.Masked {
			h.Key = key
		}
		b = wsproto.AppendHeader(b, h)
		at := len(b)
		if b = append(b, compressed[:k]...); h.Masked {
			wsproto.Mask(b[at:], key)
		}
		compressed = compressed[k:]
		if h.RSV, h.Opcode = 0, wsproto.Continuation; !h.Fin {
			b = wsproto.AppendHeader(b, wsproto.Header{Fin: true, Opcode: wsproto.Ping, Masked: h.Masked})
		}
	}
	return b
}

// read gives input to a Receiver in pieces, and returns the messages, put together, and the size of
// the largest piece.
func read(s *wsproto.Receiver, input []byte, piece int) (messages []string, largest int, err error) {
	var have, message []byte
	for len(input) > 0 {
		n := min(piece, len(input))
		have = append(have, input[:n]...)
		input = input[n:]
		for {
			ev, n, err := s.Next(have)
			have = have[n:]
			if err != nil {
				return messages, largest, err
			}
			if ev.Kind == wsproto.EventNone {
				break
			}
			if ev.Kind == wsproto.EventMessage || ev.Kind == wsproto.EventPiece || ev.Kind == wsproto.EventLast {
				largest = max(largest, len(ev.Payload))
				if message = append(message, ev.Payload...); ev.Kind != wsproto.EventPiece {
					messages = append(messages, string(message))
					message = message[:0]
				}
			}
		}
	}
	return messages, largest, nil
}

// TestStreamedMessagesAreTheSame as whole ones, in both roles, with takeover and without, however
// they are cut, and no piece is larger than 80 KiB.
func TestStreamedMessagesAreTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	messages := []string{"", "Hello", strings.Repeat("tick 12345 price 678.90;", 20_000), string(noise),
		strings.Repeat("\x00", 3<<20),
		"", strings.Repeat("tick 12345 price 678.90;", 10), strings.Repeat("tick 12345 price 678.90;", 11),
		string(noise[:40_000]) + string(noise[:40_000])}
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		for _, takeover := range []bool{true, false} {
			for _, fragment := range []int{1 << 30, 10_000, 100} {
				for _, piece := range []int{1 << 30, 4096, 1000, 7} {
					d := wsproto.Deflate{ServerNoContextTakeover: !takeover, ClientNoContextTakeover: !takeover}
					s := session(wsproto.Config{Role: role, Stream: true, Compressor: ratio(1100)}, d)
					var before, input []byte
					for _, m := range messages {
						input = append(input, split(role, wsproto.Binary, packed(t, m, before, 6, 15), fragment)...)
						if takeover {
							before = bytes.Clone(last(append(before, m...), 1<<15))
						}
					}
					name := fmt.Sprintf("role %d, takeover %v, fragments of %d, pieces of %d",
						role, takeover, fragment, piece)
					got, largest, err := read(s, input, piece)
					if err != nil || len(got) != len(messages) || largest > 80<<10 {
						t.Fatalf("%s: %d messages, %v; the largest piece has %d bytes", name, len(got), err, largest)
					}
					for i := range got {
						if got[i] != messages[i] {
							t.Fatalf("%s: message %d of %d bytes differs: %d", name, i, len(messages[i]), len(got[i]))
						}
					}
				}
			}
		}
	}
}

// TestStreamedText: text is checked at every step, and at its end.
func TestStreamedText(t *testing.T) {
	for _, test := range []struct {
		text string
		want wsproto.CloseCode
	}{
		{strings.Repeat("höher ", 5000), 0}, {strings.Repeat("x", 50_000) + "\xff" + strings.Repeat("x", 50_000),
			wsproto.InvalidPayload}, {"Hell\xc3", wsproto.InvalidPayload},
	} {
		for _, piece := range []int{1 << 30, 1} {
			s := session(wsproto.Config{Stream: true}, wsproto.Deflate{})
			got, _, err := read(s, split(wsproto.Server, wsproto.Text, packed(t, test.text, nil, 1, 15), 30), piece)
			if code(err) != test.want || test.want == 0 && (len(got) != 1 || got[0] != test.text) {
				t.Errorf("%.10q: %d messages, %v", test.text, len(got), err)
			}
		}
	}
}

// TestStreamedLastBlocksReferToWhatWasBefore: the window continues behind a last block in the
// middle of a message.
func TestStreamedLastBlocksReferToWhatWasBefore(t *testing.T) {
	first, second := strings.Repeat("tick 12345 price 678.90;", 2000),
		"and again: tick 12345 price 678.90;tick 12345 price 678.90;"
	var raw bytes.Buffer
	w, _ := flate.NewWriter(&raw, 9)
	w.Write([]byte(first))
	w.Close()
	w, _ = flate.NewWriterDict(&raw, 9, []byte(first))
	w.Write([]byte(second))
	w.Close()
	raw.WriteByte(0)
	for _, fragment := range []int{1 << 20, 10} {
		for _, piece := range []int{1 << 20, 1} {
			s := session(wsproto.Config{Stream: true}, wsproto.Deflate{})
			got, _, err := read(s, split(wsproto.Server, wsproto.Text, raw.Bytes(), fragment), piece)
			if err != nil || len(got) != 1 || got[0] != first+second {
				t.Errorf("frames of %d in pieces of %d: %d messages, %v", fragment, piece, len(got), err)
			}
		}
	}
}

// TestStreamedBomb: the limits hold while a message is inflated, and no piece is large.
func TestStreamedBomb(t *testing.T) {
	zeros := packed(t, strings.Repeat("\x00", 64<<20), nil, 9, 15)
	for _, c := range []struct {
		name   string
		config wsproto.Config
		want   wsproto.CloseCode
		most   int
	}{
		{"size", wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 20}, Compressor: ratio(2000)},
			wsproto.MessageTooBig, 1 << 20},
		{"default ratio", wsproto.Config{}, wsproto.MessageTooBig, 4<<20 + 64<<10},
		{"no limit but the ratio", wsproto.Config{Compressor: ratio(1100)}, 0, 64 << 20},
	} {
		c.config.Stream = true
		s := session(c.config, wsproto.Deflate{})
		input, given := frame(wsproto.Binary, bytes.Clone(zeros)), 0
		var err error
		for more := true; more && err == nil; {
			var ev wsproto.Event
			var n int
			if ev, n, err = s.Next(input); err == nil {
				more = ev.Kind == wsproto.EventPiece
				given += len(ev.Payload)
				input = input[n:]
				if len(ev.Payload) > 80<<10 {
					t.Fatalf("%s: a piece of %d bytes", c.name, len(ev.Payload))
				}
			}
		}
		if code(err) != c.want || given > c.most || err == nil && given != 64<<20 {
			t.Errorf("%s: %v after %d bytes, the limit is %d", c.name, err, given, c.most)
		}
	}
}

// TestReleasedStreamsLeaveNothing: the goroutine of a message ends with its connection.
func TestReleasedStreamsLeaveNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	input := frame(wsproto.Binary, packed(t, strings.Repeat("tick 12345 price 678.90;", 3000), nil, 1, 15))
	var all []*wsproto.Receiver
	for i := range 100 {
		s := session(wsproto.Config{Stream: true}, wsproto.Deflate{})
		rest := bytes.Clone(input[:len(input)-5])
		// released when there is more to give out, or when it wants more
		for waits := false; !waits; {
			ev, n, err := s.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			waits = i%2 == 0 || ev.Kind == wsproto.EventNone
		}
		all = append(all, s)
	}
	if n := runtime.NumGoroutine(); n < 100 {
		t.Fatalf("%d goroutines, with %d before: this test is about goroutines that are there", n, before)
	}
	for _, s := range all {
		s.Release()
	}
	waitForGoroutines(t, before)
}

// waitForGoroutines waits until there are no more than n.
func waitForGoroutines(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), n)
		}
	}
}

// TestStreamKeepsAWindowAndNoMore: memory does not grow with the size of the message.
func TestStreamKeepsAWindowAndNoMore(t *testing.T) {
	const size = 64 << 20
	s := session(wsproto.Config{Stream: true, Compressor: ratio(1100)}, wsproto.Deflate{})
	input, given := frame(wsproto.Binary, packed(t, strings.Repeat("\x00", size), nil, 9, 15)), 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for given < size {
		ev, n, err := s.Next(input)
		if err != nil || ev.Kind == wsproto.EventNone {
			t.Fatalf("%v after %d bytes, %v", ev.Kind, given, err)
		}
		given += len(ev.Payload)
		input = input[n:]
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for a message of %d", n, size)
	}
}

// FuzzStream: a message in pieces is the message that is delivered whole, with the same errors.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), 1, 3, true)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 3, 100, false)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 7, 1, true)
	f.Add(bytes.Repeat([]byte("\x03\x00"), 30), 2, 5, false)
	f.Fuzz(func(t *testing.T, raw []byte, fragment, piece int, text bool) {
		op := wsproto.Binary
		if text {
			op = wsproto.Text
		}
		c := wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 20, MaxFragments: 1 << 20}}
		input := split(wsproto.Server, op, raw, 1+int(uint(fragment)%300))
		whole, _, err := read(session(c, wsproto.Deflate{}), bytes.Clone(input), 1<<30)
		c.Stream, c.MaxWhole = true, piece%100
		streamed, largest, err2 := read(session(c, wsproto.Deflate{}), input, 1+int(uint(piece)%300))
		if code(err) != code(err2) || strings.Join(whole, "|") != strings.Join(streamed, "|") || largest > 80<<10 {
			t.Fatalf("whole: %q, %v; streamed: %q, %v, pieces of up to %d", whole, err, streamed, err2, largest)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			out := packed(b, strings.Repeat("tick 12345 price 678.90;", size/24), nil, 1, 15)
			input := frame(wsproto.Binary, out)
			s := session(wsproto.Config{Stream: true}, wsproto.Deflate{ClientNoContextTakeover: true})
			work := make([]byte, len(input))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				copy(work, input)
				for rest := work; ; {
					ev, n, err := s.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					if rest = rest[n:]; ev.Kind != wsproto.EventPiece {
						break
					}
				}
			}
		})
	}
}
