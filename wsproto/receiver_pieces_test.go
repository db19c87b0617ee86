package wsproto_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// part is a frame of a message, or one between.
type part struct {
	op   wsproto.Opcode
	data string
	more bool // not Fin
	pack bool // the message that begins here is in this frame, compressed
}

// gathered is what a Receiver makes of parts that come in chunks of a size: "whole", or "pieces",
// and the message's data.
func gathered(t *testing.T, c wsproto.Config, parts []part, chunk int) (got []string) {
	t.Helper()
	var input []byte
	for _, p := range parts {
		h := wsproto.Header{Fin: !p.more, Opcode: p.op, Masked: c.Role == wsproto.Server}
		data := []byte(p.data)
		if p.pack {
			h.RSV = wsproto.RSV1
			data, _ = deflate.Append(nil, data, nil, 1, 15)
		}
		h.Length, h.Key = uint64(len(data)), 0x12345678
		input = wsproto.AppendHeader(input, h)
		if input = append(input, data...); h.Masked {
			wsproto.Mask(input[len(input)-len(data):], h.Key)
		}
	}
	s := wsproto.NewReceiver(&c, &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true})
	defer s.Release()
	var pieces string
	for begin, end := 0, 0; end < len(input); {
		end = min(end+chunk, len(input))
		for begin < end {
			ev, n, err := s.Next(input[begin:end])
			begin += n
			var broken *wsproto.ProtocolError
			if errors.As(err, &broken) {
				return append(got, fmt.Sprintf("code %d behind %d bytes", broken.Code, len(pieces)))
			}
			if ev.Kind == wsproto.EventNone {
				break
			}
			switch data := string(ev.Payload); ev.Kind {
			case wsproto.EventMessage:
				got = append(got, "whole "+data)
			case wsproto.EventPiece:
				pieces += data
			case wsproto.EventLast:
				got = append(got, "pieces "+pieces+data)
				pieces = ""
			case wsproto.EventPing:
				got = append(got, "ping")
			case wsproto.EventClose:
				got = append(got, fmt.Sprintf("close behind %d bytes", len(pieces)))
			}
		}
	}
	return got
}

// TestMaxWhole: a message's size alone decides whether it comes whole, however it is sent and
// split.
func TestMaxWhole(t *testing.T) {
	const limit = 1000
	x := func(n int) string { return strings.Repeat("x", n) }
	const text, binary, cont, ping = wsproto.Text, wsproto.Binary, wsproto.Continuation, wsproto.Ping
	for _, test := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"empty", []part{{op: text}}, []string{"whole "}},
		{"one below", []part{{op: binary, data: x(limit - 1)}}, []string{"whole " + x(limit-1)}},
		{"at the limit", []part{{op: binary, data: x(limit)}}, []string{"whole " + x(limit)}},
		{"one above", []part{{op: binary, data: x(limit + 1)}}, []string{"pieces " + x(limit+1)}},
		{"longer header", []part{{op: text, data: x(70_000)}}, []string{"pieces " + x(70_000)}},
		{"one after the other", []part{{op: text, data: x(limit + 1)}, {op: text, data: x(limit)},
			{op: text, data: x(limit + 2)}, {op: text}},
			[]string{"pieces " + x(limit+1), "whole " + x(limit), "pieces " + x(limit+2), "whole "}},
		{"fragments up to the limit", []part{{op: text, data: x(400), more: true}, {data: x(600)}},
			[]string{"whole " + x(limit)}},
		{"fragments above it", []part{{op: text, data: "a" + x(400), more: true}, {data: x(598), more: true},
			{data: "bc"}}, []string{"pieces a" + x(998) + "bc"}},
		{"an empty last fragment", []part{{op: text, data: x(limit), more: true}, {op: cont}},
			[]string{"whole " + x(limit)}},
		{"the first one is above it", []part{{op: text, data: x(limit + 1), more: true}, {op: cont}},
			[]string{"pieces " + x(limit+1)}},
		{"pings in between", []part{{op: text, data: x(600), more: true}, {op: ping}, {data: x(600), more: true},
			{op: ping}, {data: x(1)}},
			[]string{"ping", "ping", "pieces " + x(1201)}},
		{"pings in a small one", []part{{op: text, data: x(6), more: true}, {op: ping}, {data: x(6)}, {op: ping}},
			[]string{"ping", "whole " + x(12), "ping"}},
		{"compressed", []part{{op: text, data: x(limit), pack: true}, {op: text, data: x(limit + 1), pack: true},
			{op: text, data: x(100_000), pack: true}},
			[]string{"whole " + x(limit), "pieces " + x(limit+1), "pieces " + x(100_000)}},
		{"a small one behind a compressed one", []part{{op: text, data: x(limit + 1), pack: true},
			{op: text, data: "plain"}}, []string{"pieces " + x(limit+1), "whole plain"}},
		{"a character across the limit", []part{{op: text, data: x(limit-1) + "ö" + x(10), more: true}, {data: "€"}},
			[]string{"pieces " + x(limit-1) + "ö" + x(10) + "€"}},
		{"a character across fragments", []part{{op: text, data: x(limit-3) + "\xe2", more: true}, {op: ping},
			{data: "\x82\xac"}}, []string{"ping", "whole " + x(limit-3) + "€"}},
		{"a small text that is none", []part{{op: text, data: x(100) + "\xff"}}, []string{"code 1007 behind 0 bytes"}},
		{"a compressed one", []part{{op: text, data: x(100) + "\xff", pack: true}},
			[]string{"code 1007 behind 0 bytes"}},
		{"a text that ends within a character", []part{{op: text, data: x(limit + 1), more: true}, {op: ping},
			{data: "\xe2"}}, []string{"ping", "code 1007 behind 1001 bytes"}},
		{"a close frame within a small one", []part{{op: text, data: x(limit), more: true}, {op: wsproto.Close}},
			[]string{"close behind 0 bytes"}},
		{"a close frame within a large one", []part{{op: text, data: x(limit + 1), more: true}, {op: wsproto.Close}},
			[]string{"close behind 1001 bytes"}},
		{"over MaxMessage", []part{{op: text, data: x(limit), more: true}, {data: x(100_000)}},
			[]string{"code 1009 behind 0 bytes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
				for _, chunk := range []int{1, 7, 500, limit + 8, 1 << 20} {
					c := wsproto.Config{Role: role, Limits: wsproto.Limits{MaxWhole: limit, MaxMessage: 100_000},
						Stream: true, Compressor: deflate.New(deflate.Compression{})}
					got := gathered(t, c, test.parts, chunk)
					if !slices.Equal(got, test.want) {
						t.Errorf("role %v, chunks of %d: %.60q, want %.60q", role, chunk, got, test.want)
					}
				}
			}
		})
	}
}

// TestHeldBackIsNoMoreThanMaxWhole and the last chunk: what is held of a message whose fragments
// never end.
func TestHeldBackIsNoMoreThanMaxWhole(t *testing.T) {
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxWhole: 1000},
		Stream: true}, nil)
	defer s.Release()
	frame := wsproto.AppendHeader(nil, wsproto.Header{Opcode: wsproto.Binary, Length: 400})
	frame = append(frame, bytes.Repeat([]byte{7}, 400)...)
	for i := range 10 {
		ev, n, err := s.Next(frame)
		if want := []int{0, 0, 1200, 400}[min(i, 3)]; err != nil || n != len(frame) || len(ev.Payload) != want ||
			want > 0 && ev.Kind != wsproto.EventPiece {
			t.Fatalf("frame %d: %d bytes of kind %d, want %d, %v", i, len(ev.Payload), ev.Kind, want, err)
		}
		frame[0] = byte(wsproto.Continuation)
	}
	if got := s.Received(); got != 4000 {
		t.Errorf("%d bytes were received", got)
	}
}

// TestHeaderDecides: what has come of a message whose header says that it is large is not held
// back.
func TestHeaderDecides(t *testing.T) {
	config := &wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxWhole: 1000}, Stream: true}
	s := wsproto.NewReceiver(config, nil)
	defer s.Release()
	ev, _, err := s.Next(append(wsproto.AppendHeader(nil,
		wsproto.Header{Fin: true, Opcode: wsproto.Text, Length: 1001}), 'x'))
	if err != nil || ev.Kind != wsproto.EventPiece || string(ev.Payload) != "x" {
		t.Errorf("%q of kind %d, %v", ev.Payload, ev.Kind, err)
	}
}

// TestDisownWhatWasHeldBack: a small message of fragments, and the first piece of a large one, stay
// what they are.
func TestDisownWhatWasHeldBack(t *testing.T) {
	s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxWhole: 5}, Stream: true},
		nil)
	defer s.Release()
	var kept []string
	var payloads [][]byte
	for range 2 {
		for _, frame := range []string{"\x01\x02ab", "\x80\x03cde", "\x01\x03fgh", "\x00\x03ijk", "\x80\x01l"} {
			ev, _, err := s.Next([]byte(frame))
			if err != nil {
				t.Fatal(err)
			}
			s.Disown()
			s.Disown() // is of no consequence
			if n := s.Received(); frame[:2] == "\x00\x03" && n != 6 {
				t.Errorf("%d bytes of the message are known behind its first piece", n)
			}
			if len(ev.Payload) > 1 {
				kept, payloads = append(kept, string(ev.Payload)), append(payloads, ev.Payload)
			}
		}
	}
	for i, p := range payloads {
		if want := []string{"abcde", "fghijk"}[i%2]; kept[i] != want || string(p) != want {
			t.Errorf("%q, later %q, want %q", kept[i], p, want)
		}
	}
}
