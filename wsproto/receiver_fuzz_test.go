package wsproto_test

import (
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
)

// compressionFault stands for any of the codes that a compressed message may be refused with: which
// of its faults comes first depends on the steps that it is inflated in.
const compressionFault wsproto.CloseCode = 0xFFFF

// reference is a Receiver that is given everything at once, and is as simple as the RFCs read; it
// inflates by the standard library.
type reference struct {
	role    wsproto.Role
	limit   int
	deflate *wsproto.Deflate // nil: not agreed on

	events []autobahn.Event
	window []byte
}

func (r *reference) fail(c wsproto.CloseCode) []autobahn.Event {
	return append(r.events, autobahn.Event{Code: c})
}

func (r *reference) play(b []byte) []autobahn.Event {
	var message []byte
	var opcode wsproto.Opcode
	var compressed bool
	for len(b) > 0 {
		h, n, err := wsproto.ParseHeader(b)
		if len(b) >= 2 {
			state := wsproto.State{Receiver: r.role, InMessage: opcode != 0, Deflate: r.deflate != nil}
			if broken := wsproto.CheckHeader(h, state); broken != nil || err != nil {
				return r.fail(wsproto.ProtocolFault)
			}
		}
		if n == 0 {
			return r.events
		}
		limit := r.limit
		if h.RSV == wsproto.RSV1 || h.Opcode == wsproto.Continuation && compressed {
			limit += limit/64 + 1024 // what cannot be compressed has more bytes then
		}
		if !h.Opcode.IsControl() && h.Length > uint64(limit-len(message)) {
			return r.fail(wsproto.MessageTooBig)
		}
		whole := h.Length <= uint64(len(b)-n)
		payload := bytes.Clone(b[n:][:min(h.Length, uint64(len(b)-n))])
		b = b[n+len(payload):]
		wsproto.Mask(payload, h.Key)
		switch h.Opcode {
		case wsproto.Ping, wsproto.Pong, wsproto.Close:
			if !whole {
				return r.events
			}
			kind := map[wsproto.Opcode]wsproto.EventKind{wsproto.Ping: wsproto.EventPing,
				wsproto.Pong: wsproto.EventPong}[h.Opcode]
			if h.Opcode == wsproto.Close {
				code, reason, err := wsproto.ParseClose(payload)
				var p *wsproto.ProtocolError
				if errors.As(err, &p) {
					return r.fail(p.Code)
				}
				return append(r.events, autobahn.Event{Kind: wsproto.EventClose, Code: code, Payload: reason})
			}
			r.events = append(r.events, autobahn.Event{Kind: kind, Payload: payload})
			continue
		case wsproto.Text, wsproto.Binary:
			opcode, message, compressed = h.Opcode, nil, h.RSV == wsproto.RSV1
		}
		message = append(message, payload...)
		done := whole && h.Fin
		if done && compressed {
			if message, err = r.inflate(message); err != nil {
				return r.fail(compressionFault)
			}
		}
		if opcode == wsproto.Text && (done || !compressed) && !wsproto.ValidSoFar(message, done) {
			if compressed {
				return r.fail(compressionFault)
			}
			return r.fail(wsproto.InvalidPayload)
		}
		if done {
			r.events = append(r.events, autobahn.Event{Kind: wsproto.EventMessage, Opcode: opcode, Payload: message})
			opcode, message = 0, nil
		}
	}
	return r.events
}

// inflate inflates a message as section 7.2.2 of RFC 7692 has it: with the four bytes that the
// sender cut off, and an empty last block, so that there is an end. Behind a last block of the
// sender's it goes on with a new decompressor.
func (r *reference) inflate(message []byte) (out []byte, err error) {
	in := strings.NewReader(string(message) + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	const tail = 9
	for blocks := 0; blocks <= 17; blocks++ {
		piece, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, last(32<<10, r.window, out)), int64(r.limit)+1))
		out = append(out, piece...)
		if err != nil || len(out) > r.limit {
			return nil, errors.Join(err, errors.New("corrupt or too large"))
		}
		if n := in.Len(); n > 0 && n < tail {
			return nil, errors.New("a last block is cut off")
		} else if n <= tail {
			if r.deflate.ReceiveTakeover(r.role) {
				r.window = last(1<<r.deflate.ReceiveBits(r.role), r.window, out)
			}
			return out, nil
		}
	}
	return nil, errors.New("too many last blocks")
}

// last is the end of a and b, n bytes of it at most.
func last(n int, a, b []byte) []byte {
	all := append(bytes.Clone(a), b...)
	return all[max(0, len(all)-n):]
}

// check plays the input whole, byte by byte and in steps, with messages whole, and piece by piece
// from several sizes on, and compares the events with the reference's.
func (r *reference) check(t *testing.T, input []byte, steps uint16) {
	config := wsproto.Config{Role: r.role, Limits: wsproto.Limits{MaxMessage: r.limit, MaxFragments: 1 << 20},
		Compressor: deflate.New(deflate.Compression{MaxRatio: 2000})}
	events := r.play(bytes.Clone(input))
	for i, cuts := range []func(int) int{
		func(int) int { return len(input) },
		func(from int) int { return from + 1 },
		func(from int) int { return from + 1 + int(steps>>(from%16)&7) },
	} {
		for _, whole := range []int{-1, 0, 1, int(steps) % 100, r.limit} {
			c := config
			c.Stream, c.MaxWhole = whole >= 0, cmp.Or(whole, -1)
			s := wsproto.NewReceiver(&c, r.deflate)
			got, _ := play(&s, &c, bytes.Clone(input), cuts)
			want := events
			if n := len(got); n > 0 && r.deflate != nil && got[n-1].Kind == wsproto.EventNone &&
				compressionFaults[got[n-1].Code] {
				if c.Stream {
					want = sooner(want, n)
				}
				if n == len(want) && want[n-1].Code == compressionFault {
					got[n-1].Code = compressionFault
				}
			}
			if err := compare(got, want); err != nil {
				t.Fatalf("cut %d, piece by piece above %d: %v", i, whole, err)
			}
		}
	}
}

var compressionFaults = map[wsproto.CloseCode]bool{wsproto.InvalidPayload: true, wsproto.MessageTooBig: true,
	wsproto.PolicyViolation: true}

// sooner is what may come of want when a compressed message is found to be broken before it has
// come whole: what would have come within it, control frames and other faults, is not delivered
// then, and n events are left.
func sooner(want []autobahn.Event, n int) []autobahn.Event {
	rest := want[min(n-1, len(want)):]
	if slices.ContainsFunc(rest, func(e autobahn.Event) bool { return e.Kind == wsproto.EventMessage }) {
		return want
	}
	return append(slices.Clone(want[:len(want)-len(rest)]), autobahn.Event{Code: compressionFault})
}

// addCases adds the short ones of the case list as seeds.
func addCases(f *testing.F, role wsproto.Role, add func(input []byte)) {
	for c := range autobahn.Cases() {
		var b []byte
		for _, frame := range c.Frames {
			b = appendFrame(b, frame, role)
		}
		if len(b) < 200 {
			add(b)
		}
	}
}

func fuzzReceiver(f *testing.F, role wsproto.Role) {
	addCases(f, role, func(input []byte) { f.Add(input, uint16(7), 100) })
	f.Fuzz(func(t *testing.T, input []byte, steps uint16, limit int) {
		(&reference{role: role, limit: max(limit, 1)}).check(t, input, steps)
	})
}

func FuzzReceiver(f *testing.F)       { fuzzReceiver(f, wsproto.Server) }
func FuzzReceiverClient(f *testing.F) { fuzzReceiver(f, wsproto.Client) }

func fuzzReceiverDeflate(f *testing.F, role wsproto.Role) {
	addCases(f, role, func(input []byte) { f.Add(input, uint16(7), 100, true, uint8(9)) })
	for _, message := range []string{"\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"\x03\x00\x03\x00\x00",
		"\x00\x05\x00\xfa\xffHello\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "\x00"} {
		var input []byte
		for _, payload := range []string{message, "\xf2\x00\x11\x00\x00", message} {
			h := wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Text, Masked: role == wsproto.Server,
				Length: uint64(len(payload))}
			input = append(wsproto.AppendHeader(input, h), payload...)
		}
		f.Add(input, uint16(7), 100, true, uint8(15))
		f.Add(input, uint16(7), 100, false, uint8(8))
	}
	f.Fuzz(func(t *testing.T, input []byte, steps uint16, limit int, takeover bool, bits uint8) {
		bits = 8 + bits%8
		d := &wsproto.Deflate{ServerNoContextTakeover: !takeover, ClientNoContextTakeover: !takeover,
			ServerMaxWindowBits: bits, ClientMaxWindowBits: bits}
		(&reference{role: role, limit: max(1, min(limit, 1<<20)), deflate: d}).check(t, input, steps)
	})
}

func FuzzReceiverDeflate(f *testing.F)       { fuzzReceiverDeflate(f, wsproto.Server) }
func FuzzReceiverDeflateClient(f *testing.F) { fuzzReceiverDeflate(f, wsproto.Client) }
