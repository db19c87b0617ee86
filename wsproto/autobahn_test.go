package wsproto_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
)

const testKey wsproto.Key = 0x8040_20F1

// TestAutobahn runs the case list as a server, TestAutobahnAsClient as a client, and the others
// with messages that are delivered piece by piece: whole, coalesced, octet by octet, in the suite's
// own pieces and, where the case is short, split in two at every byte. The events must be the same
// each time.
func TestAutobahn(t *testing.T) { runCases(t, wsproto.Server, false) }

func TestAutobahnAsClient(t *testing.T) { runCases(t, wsproto.Client, false) }

func TestAutobahnStreamed(t *testing.T) { runCases(t, wsproto.Server, true) }

func TestAutobahnStreamedAsClient(t *testing.T) { runCases(t, wsproto.Client, true) }

func runCases(t *testing.T, role wsproto.Role, stream bool) {
	seen := 0
	for c := range autobahn.Cases() {
		seen++
		t.Run(c.ID, func(t *testing.T) {
			var input []byte
			var ends []int
			for _, f := range c.Frames {
				input = appendFrame(input, f, role)
				ends = append(ends, len(input))
			}
			check := func(how string, cuts func(int) int) int {
				t.Helper()
				limits := wsproto.Limits{MaxMessage: 64 << 20, MaxWhole: -1}
				config := &wsproto.Config{Role: role, Limits: limits, Stream: stream}
				got, at := playWith(config, bytes.Clone(input), cuts)
				if err := compare(got, c.Want); err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				return at
			}
			check("coalesced", func(int) int { return len(input) })
			check("frame by frame", func(from int) int {
				i, _ := slices.BinarySearch(ends, from+1)
				return ends[i]
			})
			octet := 1
			if len(input) > 64<<10 && (stream || role == wsproto.Client) { // once is enough
				octet = 1301
			}
			at := check("octet by octet", func(from int) int { return from + octet })
			if want := firstBad(c.Frames, role); want >= 0 && at != want {
				t.Errorf("failed at byte %d, want the first bad one, %d", at, want)
			}
			if c.Chop > 1 {
				check("in pieces", func(from int) int { return from + c.Chop })
			}
			for cut := 1; cut < len(input) && len(input) <= 2048; cut++ {
				check(fmt.Sprintf("split at %d", cut), func(from int) int {
					if from < cut {
						return cut
					}
					return len(input)
				})
			}
		})
	}
	if seen != 16+11+7+10+20+(3+4+2+4+5+11+4+2+4+3+5+8+5+10+1+3+5+5+5+7+8+34+7)+(6+6+1+13+10+2)+54+1 {
		t.Errorf("%d cases", seen)
	}
}

// appendFrame appends a frame for role to receive.
func appendFrame(dst []byte, f autobahn.Frame, role wsproto.Role) []byte {
	if role == wsproto.Client {
		return f.AppendUnmasked(dst)
	}
	return f.Append(dst, testKey)
}

func playWith(c *wsproto.Config, input []byte, cuts func(from int) int) (events []autobahn.Event, at int) {
	s := wsproto.NewReceiver(c, nil)
	return play(&s, c, input, cuts)
}

// play gives the input to a Receiver in pieces, now and then in its Room; cuts says where the one
// that begins at a position ends. at is the offset of the last byte that had arrived when the
// Receiver failed. Pieces become the message again.
func play(s *wsproto.Receiver, c *wsproto.Config, input []byte,
	cuts func(from int) int) (events []autobahn.Event, at int) {
	defer s.Release()
	begin, end := 0, 0
	var before []byte // pieces of a message
	pieces := 0
	for end < len(input) {
		end = min(cuts(end), len(input))
		for begin < end {
			src := input[begin:end]
			if room := s.Room(); len(room) > 0 && begin%3 > 0 {
				src = room[:copy(room, src)]
			}
			all := len(src) == end-begin
			ev, n, err := s.Next(src)
			begin += n
			if err != nil {
				var p *wsproto.ProtocolError
				if !errors.As(err, &p) {
					panic(err)
				}
				return append(events, autobahn.Event{Code: p.Code}), end - 1
			}
			if ev.Kind == wsproto.EventNone && !all {
				continue
			}
			if ev.Kind == wsproto.EventNone {
				break
			}
			if ev.Kind == wsproto.EventPiece {
				if before = append(before, ev.Payload...); len(ev.Payload) == 0 {
					panic("a piece that is none")
				}
				pieces++
				continue
			}
			if kind := ev.Kind; kind == wsproto.EventMessage || kind == wsproto.EventLast {
				ev.Kind, ev.Payload = wsproto.EventMessage, append(before, ev.Payload...)
				large := c.Stream && len(ev.Payload) > max(c.MaxWhole, 0)
				if large != (kind == wsproto.EventLast) || !large && pieces > 0 {
					panic(fmt.Sprintf("a message of %d bytes ends as kind %d behind %d pieces", len(ev.Payload), kind,
						pieces))
				}
				before, pieces = nil, 0
			}
			events = append(events, autobahn.Event{Kind: ev.Kind, Opcode: ev.Opcode, Code: ev.Code,
				Payload: bytes.Clone(ev.Payload)})
		}
	}
	return events, -1
}

func compare(got, want []autobahn.Event) error {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			return fmt.Errorf("%d events, want %d", len(got), len(want))
		}
		g, w := got[i], want[i]
		if g.Kind != w.Kind || g.Opcode != w.Opcode || g.Code != w.Code || !bytes.Equal(g.Payload, w.Payload) {
			return fmt.Errorf("event %d is %v %v %d with %.40q (%d bytes), want %v %v %d with %.40q (%d bytes)",
				i, g.Kind, g.Opcode, g.Code, g.Payload, len(g.Payload), w.Kind, w.Opcode, w.Code, w.Payload,
				len(w.Payload))
		}
	}
	return nil
}

// firstBad is the offset in the input of the first byte after which a text message cannot become
// UTF-8, by a naive rule; -1 if there is none.
func firstBad(frames []autobahn.Frame, role wsproto.Role) int {
	if len(frames) > 100 { // the long texts are valid
		return -1
	}
	var message []byte
	offset := 0
	for _, f := range frames {
		head := len(appendFrame(nil, f, role)) - len(f.Payload)
		if f.Opcode != wsproto.Continuation && f.Opcode != wsproto.Text || f.RSV != 0 || len(f.Payload) > 1<<10 {
			return -1 // another kind of case; the long texts are valid
		}
		for i, b := range f.Payload {
			message = append(message, b)
			rest := message
			for len(rest) > 0 && utf8.FullRune(rest) {
				r, n := utf8.DecodeRune(rest)
				if r == utf8.RuneError && n == 1 {
					return offset + head + i
				}
				rest = rest[n:]
			}
		}
		offset += head + len(f.Payload)
		if !f.More {
			if !utf8.Valid(message) {
				return offset - 1
			}
			return -1
		}
	}
	return -1
}
