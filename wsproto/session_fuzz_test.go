package wsproto_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
)

// reference is a Session that is given everything at once, and is as simple as the RFC reads.
func reference(b []byte, limit int) (events []autobahn.Event) {
	var message []byte
	var opcode wsproto.Opcode
	fail := func(c wsproto.CloseCode) []autobahn.Event { return append(events, autobahn.Event{Code: c}) }
	for len(b) > 0 {
		h, n, err := wsproto.ParseHeader(b)
		if len(b) >= 2 {
			if broken := wsproto.CheckHeader(h, wsproto.State{InMessage: opcode != 0}); broken != nil || err != nil {
				return fail(wsproto.ProtocolFault)
			}
		}
		if n == 0 {
			return events
		}
		if !h.Opcode.IsControl() && h.Length > uint64(limit-len(message)) {
			return fail(wsproto.MessageTooBig)
		}
		whole := h.Length <= uint64(len(b)-n)
		payload := bytes.Clone(b[n:][:min(h.Length, uint64(len(b)-n))])
		b = b[n+len(payload):]
		wsproto.Mask(payload, h.Key)
		switch h.Opcode {
		case wsproto.Ping, wsproto.Pong, wsproto.Close:
			if !whole {
				return events
			}
			kind := map[wsproto.Opcode]wsproto.EventKind{wsproto.Ping: wsproto.EventPing, wsproto.Pong: wsproto.EventPong}[h.Opcode]
			if h.Opcode == wsproto.Close {
				code, reason, err := wsproto.ParseClose(payload)
				var p *wsproto.ProtocolError
				if errors.As(err, &p) {
					return fail(p.Code)
				}
				return append(events, autobahn.Event{Kind: wsproto.EventClose, Code: code, Payload: reason})
			}
			events = append(events, autobahn.Event{Kind: kind, Payload: payload})
			continue
		case wsproto.Text, wsproto.Binary:
			opcode, message = h.Opcode, nil
		}
		message = append(message, payload...)
		done := whole && h.Fin
		if opcode == wsproto.Text && !validSoFar(message, done) {
			return fail(wsproto.InvalidPayload)
		}
		if done {
			events = append(events, autobahn.Event{Kind: wsproto.EventMessage, Opcode: opcode, Payload: message})
			opcode, message = 0, nil
		}
	}
	return events
}

func FuzzSession(f *testing.F) {
	for c := range autobahn.Cases() {
		var b []byte
		for _, frame := range c.Frames {
			b = frame.Append(b, testKey)
		}
		if len(b) < 200 {
			f.Add(b, uint16(7), 100)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, steps uint16, limit int) {
		if limit <= 0 {
			limit = 1
		}
		for _, cuts := range []func(int) int{
			func(int) int { return len(input) },
			func(from int) int { return from + 1 },
			func(from int) int { return from + 1 + int(steps>>(from%16)&7) },
		} {
			got, _ := playWith(&wsproto.Config{MaxMessage: limit, MaxFragments: 1 << 20}, bytes.Clone(input), cuts)
			if err := compare(got, reference(bytes.Clone(input), limit)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
