package wsproto_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// TestReceiverChecksTextOfEveryLength receives texts that are valid up to the last character, and
// past it, whole and split.
func TestReceiverChecksTextOfEveryLength(t *testing.T) {
	wsproto.EachVectors(func(vectors string) {
		for n := range 300 {
			text := append(bytes.Repeat([]byte("x"), n%3), strings.Repeat("漢", n)...)
			for _, c := range []struct {
				name string
				text []byte
				ok   bool
			}{
				{"valid", text, true},
				{"ASCII", bytes.Repeat([]byte("a"), len(text)), true},
				{"cut off", append(bytes.Clone(text), "\xE6\xBC"...), false},
				{"surrogate", append(bytes.Clone(text), "\xED\xA0\x80"...), false},
				{"never occurs", append(bytes.Clone(text), 0xFF), false},
			} {
				frame := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Text, Masked: true,
					Key: testKey, Length: uint64(len(c.text))})
				head := len(frame)
				frame = append(frame, c.text...)
				wsproto.Mask(frame[head:], testKey)
				for _, cut := range []int{len(frame), head + len(c.text)/2, head + 1} {
					s := wsproto.NewReceiver(&wsproto.Config{}, nil)
					input := bytes.Clone(frame)
					first := min(cut, len(input))
					ev, k, err := s.Next(input[:first])
					if err == nil && first < len(input) {
						ev, _, err = s.Next(input[k:])
					}
					var p *wsproto.ProtocolError
					if c.ok && (err != nil || ev.Kind != wsproto.EventMessage || !bytes.Equal(ev.Payload, c.text)) ||
						!c.ok && (!errors.As(err, &p) || p.Code != wsproto.InvalidPayload) {
						t.Fatalf("%s: %s, %d bytes, split at %d: %v, %d bytes, %v", vectors, c.name, len(c.text), cut,
							ev.Kind, len(ev.Payload), err)
					}
				}
			}
		}
	})
}
