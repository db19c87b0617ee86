// Package autobahn is the case list of the Autobahn test suite, sections 1 to 7, 9 and 10, as data:
// what one end sends, and what the other must understand. The suite has the same list for servers
// and for clients. No case is left out, and every case has one right answer; where the suite also
// accepts another as "non-strict", the strict one is wanted here.
package autobahn

import (
	"iter"

	"github.com/myriadnet/myriad/wsproto"
)

// Case is one case of the suite.
type Case struct {
	ID     string
	Frames []Frame // of the end that tests
	Chop   int     // the suite sends pieces of so many bytes; 0: frames
	Want   []Event
}

// Frame is a frame that may break the rules.
type Frame struct {
	Opcode  wsproto.Opcode
	RSV     byte
	More    bool // FIN is not set
	Payload []byte
}

// Event is what the receiver must make of the frames: what wsproto.Receiver returns, or, with
// EventNone, an error with this code. Nothing follows a Close or an error.
type Event struct {
	Kind    wsproto.EventKind
	Opcode  wsproto.Opcode
	Code    wsproto.CloseCode
	Payload []byte
}

// AppendUnmasked appends the frame as a server sends it.
func (f Frame) AppendUnmasked(dst []byte) []byte {
	h := wsproto.Header{Fin: !f.More, RSV: f.RSV, Opcode: f.Opcode, Length: uint64(len(f.Payload))}
	return append(wsproto.AppendHeader(dst, h), f.Payload...)
}

// Append appends the frame as a client sends it: masked with key.
func (f Frame) Append(dst []byte, key wsproto.Key) []byte {
	h := wsproto.Header{Fin: !f.More, RSV: f.RSV, Opcode: f.Opcode, Masked: true, Key: key,
		Length: uint64(len(f.Payload))}
	dst = wsproto.AppendHeader(dst, h)
	n := len(dst)
	dst = append(dst, f.Payload...)
	wsproto.Mask(dst[n:], key)
	return dst
}

// Cases are all of them, in order. They are made one by one, since the largest are of 16 MiB.
func Cases() iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, section := range []iter.Seq[Case]{framing, pings, reserved, opcodes, fragments, utf8Handling, closing,
			limits, autoFragment} {
			for c := range section {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// The frames and events that the sections are written with.

func text(s string) Frame        { return Frame{Opcode: wsproto.Text, Payload: []byte(s)} }
func binary(b []byte) Frame      { return Frame{Opcode: wsproto.Binary, Payload: b} }
func ping(s string) Frame        { return Frame{Opcode: wsproto.Ping, Payload: []byte(s)} }
func pong(s string) Frame        { return Frame{Opcode: wsproto.Pong, Payload: []byte(s)} }
func closeFrame(s string) Frame  { return Frame{Opcode: wsproto.Close, Payload: []byte(s)} }
func next(s string) Frame        { return Frame{Payload: []byte(s)} }
func (f Frame) more() Frame      { f.More = true; return f }
func (f Frame) rsv(b byte) Frame { f.RSV = b; return f }

func gotText(s string) Event {
	return Event{Kind: wsproto.EventMessage, Opcode: wsproto.Text, Payload: []byte(s)}
}
func gotBinary(b []byte) Event {
	return Event{Kind: wsproto.EventMessage, Opcode: wsproto.Binary, Payload: b}
}
func gotPing(s string) Event { return Event{Kind: wsproto.EventPing, Payload: []byte(s)} }
func gotPong(s string) Event { return Event{Kind: wsproto.EventPong, Payload: []byte(s)} }
func gotClose(c wsproto.CloseCode, reason string) Event {
	return Event{Kind: wsproto.EventClose, Code: c, Payload: []byte(reason)}
}
func failed(c wsproto.CloseCode) Event { return Event{Code: c} }

// code is the payload of a Close frame.
func code(c uint16, reason string) string { return string([]byte{byte(c >> 8), byte(c)}) + reason }

var (
	bye    = closeFrame(code(1000, ""))
	gotBye = gotClose(wsproto.NormalClosure, "")
	broken = failed(wsproto.ProtocolFault)
	notUTF = failed(wsproto.InvalidPayload)
)

// section yields cases with IDs under a prefix, until the consumer has enough.
type section struct {
	yield func(Case) bool
	done  bool
}

func (s *section) add(c Case) {
	if !s.done {
		s.done = !s.yield(c)
	}
}
