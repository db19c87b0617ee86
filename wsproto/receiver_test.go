package wsproto_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain takes all events, and returns the error.
func drain(s *wsproto.Receiver, b []byte) (kinds []wsproto.EventKind, err error) {
	for len(b) > 0 {
		ev, n, err := s.Next(b)
		if err != nil {
			return kinds, err
		}
		b = b[n:]
		if ev.Kind == wsproto.EventNone {
			return kinds, nil
		}
		kinds = append(kinds, ev.Kind)
	}
	return kinds, nil
}

func wantError(t *testing.T, err error, code wsproto.CloseCode, section string) {
	t.Helper()
	var p *wsproto.ProtocolError
	if !errors.As(err, &p) || p.Code != code || p.Section != section ||
		!strings.Contains(err.Error(), "RFC 6455 section "+section) {
		t.Errorf("%v (%+v), want code %d, section %s", err, p, code, section)
	}
}

// TestFrameRules breaks each rule about frames once. The input is as short as possible: what
// follows it must not matter.
func TestFrameRules(t *testing.T) {
	const server, client = wsproto.Server, wsproto.Client
	tests := []struct {
		name    string
		role    wsproto.Role
		input   string
		section string
	}{
		{name: "a client must mask", role: server, input: "81 00", section: "5.1"},
		{name: "a client must mask control frames", role: server, input: "89 00", section: "5.1"},
		{name: "MASK is looked at before the length", role: server, input: "82 7F FFFFFFFFFFFFFFFF", section: "5.1"},
		{name: "MASK is looked at before there is a length", role: server, input: "82 7F", section: "5.1"},
		{name: "a server must not mask", role: client, input: "81 80", section: "5.1"},
		{name: "a server must not mask, nor a whole message", role: client, input: "81 84 00000000 41414141",
			section: "5.1"},
		{name: "RSV1 without an extension", role: server, input: "C1 80", section: "5.2"},
		{name: "RSV2", role: server, input: "A1 80", section: "5.2"},
		{name: "RSV3", role: server, input: "91 80", section: "5.2"},
		{name: "RSV1 of a control frame", role: client, input: "C9 00", section: "5.2"},
		{name: "opcode 3", role: server, input: "83 80", section: "5.2"},
		{name: "opcode 4", role: server, input: "84 80", section: "5.2"},
		{name: "opcode 5", role: server, input: "85 80", section: "5.2"},
		{name: "opcode 6", role: server, input: "86 80", section: "5.2"},
		{name: "opcode 7", role: server, input: "87 80", section: "5.2"},
		{name: "opcode B", role: server, input: "8B 80", section: "5.2"},
		{name: "opcode C", role: server, input: "8C 80", section: "5.2"},
		{name: "opcode D", role: server, input: "8D 80", section: "5.2"},
		{name: "opcode E", role: server, input: "8E 80", section: "5.2"},
		{name: "opcode F", role: client, input: "8F 00", section: "5.2"},
		{name: "ping over 125 bytes", role: server, input: "89 FE", section: "5.5"},
		{name: "pong over 125 bytes", role: client, input: "8A 7F", section: "5.5"},
		{name: "close over 125 bytes", role: server, input: "88 FE", section: "5.5"},
		{name: "fragmented ping", role: server, input: "09 80", section: "5.5"},
		{name: "fragmented close", role: client, input: "08 00", section: "5.5"},
		{name: "16-bit length of 125", role: client, input: "82 7E 007D", section: "5.2"},
		{name: "16-bit length of 125 from a client", role: server, input: "82 FE 007D 00000000", section: "5.2"},
		{name: "16-bit length of 0 from a client", role: server, input: "82 FE 0000 00000000", section: "5.2"},
		{name: "64-bit length of 65535 from a client", role: server, input: "82 FF 000000000000FFFF 00000000",
			section: "5.2"},
		{name: "64-bit length of 65535", role: client, input: "82 7F 000000000000FFFF", section: "5.2"},
		{name: "64-bit length of 0", role: client, input: "82 7F 0000000000000000", section: "5.2"},
		{name: "top bit of the 64-bit length", role: client, input: "82 7F 8000000000000000", section: "5.2"},
		{name: "continuation of nothing", role: server, input: "80 80", section: "5.4"},
		{name: "continuation after the end", role: client, input: "02 01 AA 80 00 80 00", section: "5.4"},
		{name: "text inside a message", role: client, input: "02 01 AA 81 00", section: "5.4"},
		{name: "binary inside a message", role: client, input: "01 00 82 00", section: "5.4"},
		{name: "close of 1 byte", role: client, input: "88 01 03", section: "5.5.1"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			s := wsproto.NewReceiver(&wsproto.Config{Role: c.role}, nil)
			_, err := drain(&s, fromHex(t, c.input))
			wantError(t, err, wsproto.ProtocolFault, c.section)
			if kinds, err := drain(&s, fromHex(t, "8100 8180 00000000 FFFF")); len(kinds) > 0 || err != nil {
				t.Errorf("after the error: %v, %v", kinds, err)
			}
		})
	}
}

func TestNothingAfterClose(t *testing.T) {
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
	kinds, err := drain(&s, fromHex(t, "8902 6869 8802 03E8 8900 8101 41 FFFF"))
	if len(kinds) != 2 || kinds[1] != wsproto.EventClose || err != nil {
		t.Errorf("%v, %v", kinds, err)
	}
}

// TestLengthArithmetic is CVE-2020-27813, CVE-2020-13935, CVE-2026-27889 and CVE-2026-1528:
// declared lengths near 2^63 must not overflow, be cut to 32 bits, loop, or pass a limit.
func TestLengthArithmetic(t *testing.T) {
	for _, limit := range []int{1, 1000, math.MaxInt} {
		for _, n := range []uint64{math.MaxInt64, math.MaxInt64 - 1, 1 << 62, 1 << 32, 1<<32 + 1, 1<<31 + 7} {
			for _, before := range []int{0, 1} {
				t.Run(fmt.Sprintf("limit %d, %d bytes after %d", limit, n, before), func(t *testing.T) {
					s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client,
						Limits: wsproto.Limits{MaxMessage: limit}}, nil)
					b := wsproto.AppendHeader(nil, wsproto.Header{Opcode: wsproto.Binary, Length: uint64(before)})
					b = append(b, make([]byte, before)...)
					b = wsproto.AppendHeader(b, wsproto.Header{Fin: true, Length: n})
					kinds, err := drain(&s, append(b, 1, 2, 3))
					if n > uint64(limit-before) {
						wantError(t, err, wsproto.MessageTooBig, "7.4.1")
					} else if err != nil || len(kinds) > 0 {
						t.Errorf("%v, %v", kinds, err)
					}
				})
			}
		}
	}
}

// TestNothingIsAllocatedForADeclaredLength is CVE-2022-35922.
func TestNothingIsAllocatedForADeclaredLength(t *testing.T) {
	head := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: 1 << 62})
	var s wsproto.Receiver
	if n := testing.AllocsPerRun(100, func() {
		s = wsproto.NewReceiver(&wsproto.Config{Limits: wsproto.Limits{MaxMessage: -1}}, nil)
		s.Next(head)
		s.Release()
	}); n > 1 { // the Config
		t.Errorf("%v allocations", n)
	}
}

// TestFragmentsAreCapped is CVE-2014-0193 and CVE-2026-48779: fragments count, not only the bytes
// in them.
func TestFragmentsAreCapped(t *testing.T) {
	tests := []struct {
		name   string
		config wsproto.Config
		want   int
	}{
		{name: "default without a message limit", config: wsproto.Config{Limits: wsproto.Limits{MaxMessage: -1}},
			want: 1024},
		{name: "default of the default limit", want: 2048},
		{name: "default of a small limit", config: wsproto.Config{Limits: wsproto.Limits{MaxMessage: 2000}},
			want: 1024},
		{name: "default of a large limit", config: wsproto.Config{Limits: wsproto.Limits{MaxMessage: 1 << 20}},
			want: 2048},
		{name: "own", config: wsproto.Config{Limits: wsproto.Limits{MaxFragments: 3}}, want: 3},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			c.config.Role = wsproto.Client
			for _, payload := range []string{"00", "01 41"} {
				s := wsproto.NewReceiver(&c.config, nil)
				for i := range c.want {
					op := "00"
					if i == 0 {
						op = "01"
					}
					if _, err := drain(&s, fromHex(t, op+payload)); err != nil {
						t.Fatalf("fragment %d: %v", i+1, err)
					}
				}
				_, err := drain(&s, fromHex(t, "80"+payload))
				wantError(t, err, wsproto.PolicyViolation, "5.4")
			}
			s := wsproto.NewReceiver(&c.config, nil)
			for range 2 * c.want { // of different messages, they may be any number
				if _, err := drain(&s, fromHex(t, "0100 8000")); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestMessageLimitHoldsOverFragments(t *testing.T) {
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxMessage: 5}}, nil)
	if kinds, err := drain(&s, fromHex(t, "0203 414243 8900 8002 4445 8205 4142434445")); len(kinds) != 3 ||
		err != nil {
		t.Fatalf("%v, %v", kinds, err)
	}
	_, err := drain(&s, fromHex(t, "0203 414243 8003"))
	wantError(t, err, wsproto.MessageTooBig, "7.4.1")
	if !strings.Contains(err.Error(), "limit of 5 bytes") {
		t.Errorf("%v does not name the limit", err)
	}
}

// TestFrameLimit: the limit holds for each frame, however it arrives, and not for the sum of them.
func TestFrameLimit(t *testing.T) {
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		for _, test := range []struct {
			name  string
			sizes []int
			whole bool // all at once
			fits  bool
		}{
			{"at the limit", []int{200}, true, true}, {"above it", []int{201}, true, false},
			{"at the limit, in pieces", []int{200}, false, true}, {"above it, in pieces", []int{201}, false, false},
			{"fragments", []int{200, 200, 200}, true, true}, {"a fragment above it", []int{200, 201}, true, false},
		} {
			t.Run(fmt.Sprint(role, " ", test.name), func(t *testing.T) {
				var input []byte
				for i, n := range test.sizes {
					f := autobahn.Frame{More: i < len(test.sizes)-1, Payload: make([]byte, n)}
					if i == 0 {
						f.Opcode = wsproto.Binary
					}
					input = appendFrame(input, f, role)
				}
				got, _ := playWith(&wsproto.Config{Role: role, Limits: wsproto.Limits{MaxFrame: 200}}, input,
					func(from int) int {
						if test.whole {
							return len(input)
						}
						return from + 1
					})
				if fits := len(got) == 1 && got[0].Kind == wsproto.EventMessage; fits != test.fits ||
					!fits && got[0].Code != wsproto.MessageTooBig {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// TestTextIsChecked is CVE-2025-12689, in every way that a text can arrive.
func TestTextIsChecked(t *testing.T) {
	for _, input := range []string{"8101 FF", "0101 C3 8001 41", "8102 C3A4 8101 C3", "0101 C3 8900 8001 28",
		"0100 0001 F5"} {
		s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
		_, err := drain(&s, fromHex(t, input))
		wantError(t, err, wsproto.InvalidPayload, "8.1")
	}
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
	if kinds, err := drain(&s, fromHex(t, "8201 FF 0101 C3 8900 8001 A4")); len(kinds) != 3 || err != nil {
		t.Errorf("%v, %v", kinds, err)
	}
}

func TestReleaseGivesBackAMessageThatNeverEnded(t *testing.T) {
	part := autobahn.Frame{Opcode: wsproto.Binary, More: true, Payload: make([]byte, 30<<10)}.Append(nil, testKey)
	config := &wsproto.Config{}
	var s wsproto.Receiver
	if n := testing.AllocsPerRun(100, func() {
		s = wsproto.NewReceiver(config, nil)
		s.Next(part)
		s.Release()
		s.Release()
	}); n > 0.5 && !raceEnabled {
		t.Errorf("%v allocations: the buffer does not come back to its pool", n)
	}
}

func TestPayloadIsValidUntilTheNextCall(t *testing.T) {
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
	ev, _, err := s.Next(fromHex(t, "0101 41"))
	if ev.Kind != wsproto.EventNone || err != nil {
		t.Fatal(ev, err)
	}
	ev, _, _ = s.Next(fromHex(t, "8001 42"))
	held := ev.Payload
	other := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
	other.Next(fromHex(t, "0201 58"))
	if string(held) != "AB" {
		t.Errorf("%q: another Receiver got the buffer", held)
	}
	clear(held) // it may be modified
	if ev, _, err = s.Next(fromHex(t, "8101 43")); string(ev.Payload) != "C" || err != nil {
		t.Errorf("%q, %v", ev.Payload, err)
	}
}

func TestReceiverIs48Bytes(t *testing.T) {
	if n := unsafe.Sizeof(wsproto.Receiver{}); n > 48 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("Receiver is %d bytes", n)
	}
}

func TestReceiverDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	long := bytes.Repeat([]byte("text"), 5000)
	tests := []struct {
		name   string
		frames []autobahn.Frame
	}{
		{name: "text", frames: []autobahn.Frame{{Opcode: wsproto.Text, Payload: []byte("grüße")}}},
		{name: "binary", frames: []autobahn.Frame{{Opcode: wsproto.Binary, Payload: long}}},
		{name: "fragments", frames: []autobahn.Frame{{Opcode: wsproto.Text, More: true, Payload: long},
			{Payload: long}}},
		{name: "ping", frames: []autobahn.Frame{{Opcode: wsproto.Ping, Payload: []byte("ping")}}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			var frames []byte
			for _, f := range c.frames {
				frames = f.Append(frames, 0)
			}
			s := wsproto.NewReceiver(&wsproto.Config{}, nil)
			if n := testing.AllocsPerRun(200, func() {
				if ev, _, err := s.Next(frames); ev.Kind == wsproto.EventNone || err != nil {
					t.Fatal(ev, err)
				}
			}); n > 0 {
				t.Errorf("%v allocations per message", n)
			}
		})
	}
}

func BenchmarkReceiver(b *testing.B) {
	for _, c := range []struct{ size, count int }{{32, 1}, {1024, 1}, {128, 16}, {64 << 10, 1}} {
		b.Run(fmt.Sprintf("%dx%dB", c.count, c.size), func(b *testing.B) {
			var frames []byte
			for range c.count {
				frames = autobahn.Frame{Opcode: wsproto.Binary, Payload: make([]byte, c.size)}.Append(frames, testKey)
			}
			s := wsproto.NewReceiver(&wsproto.Config{}, nil)
			b.SetBytes(int64(len(frames)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := frames; len(rest) > 0; {
					_, n, err := s.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}

// TestRoomGrowsWithWhatHasArrived: Room grows by a factor, whatever the header announced, and never
// beyond the frame.
func TestRoomGrowsWithWhatHasArrived(t *testing.T) {
	const size = 10_000_000
	s := wsproto.NewReceiver(&wsproto.Config{Limits: wsproto.Limits{MaxMessage: size}}, nil)
	defer s.Release()
	head := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: size})
	if s.Room() != nil || s.Missing() != 0 {
		t.Error("room without a frame")
	}
	s.Next(append(head, make([]byte, 1000)...))
	for arrived := 1000; arrived < size; {
		room := s.Room()
		switch missing := size - arrived; {
		case s.Missing() != uint64(missing):
			t.Fatalf("%d bytes are missing, not %d", s.Missing(), missing)
		case len(room) < min(missing, 16<<10), len(room) > missing, // buffers are powers of two
			len(room) > 8*arrived+(32<<10):
			t.Fatalf("after %d bytes of %d: room for %d", arrived, size, len(room))
		}
		n := min(len(room), 5000)
		arrived += n
		ev, k, err := s.Next(room[:n])
		if whole := arrived == size; err != nil || k != n || (ev.Kind == wsproto.EventMessage) != whole ||
			whole && len(ev.Payload) != size {
			t.Fatalf("after %d bytes: %v of %d bytes, %d consumed, %v", arrived, ev.Kind, len(ev.Payload), k, err)
		}
	}
	if s.Room() != nil || s.Missing() != 0 {
		t.Error("room behind the frame")
	}
}
