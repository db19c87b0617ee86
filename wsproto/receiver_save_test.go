package wsproto_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// peerStream is what a peer sends in a test of moves, and how a Receiver is to take it.
type peerStream struct {
	config wsproto.Config
	agreed *wsproto.Deflate
	input  []byte
}

// newPeerStream makes texts and binary messages, whole and in fragments, compressed or not, with
// control frames between. Some end with a broken text, a reserved opcode or a Close frame.
func newPeerStream(seed uint64) *peerStream {
	r := rand.New(rand.NewPCG(seed, 17))
	p := &peerStream{}
	p.config.Role = wsproto.Role(r.IntN(2))
	if r.IntN(2) == 0 {
		p.config.Stream, p.config.MaxWhole = true, []int{-1, 1, 20, 200}[r.IntN(4)]
	}
	p.config.InflateStep = []int{0, 0, 64, 4000}[r.IntN(4)]
	if r.IntN(3) > 0 {
		bits := uint8(8 + r.IntN(3)) // each move copies the window
		p.agreed = &wsproto.Deflate{ServerMaxWindowBits: bits, ClientMaxWindowBits: bits,
			ServerNoContextTakeover: r.IntN(3) == 0, ClientNoContextTakeover: r.IntN(3) == 0}
		p.config.Compressor = deflate.New(deflate.Compression{Threshold: 10})
	}
	peer := p.config
	peer.Role = 1 - peer.Role
	s := wsproto.NewSender(&peer, p.agreed)
	for range 2 + r.IntN(5) {
		p.appendMessage(r, &s)
	}
	switch r.IntN(4) {
	case 0:
		p.input = s.Append(p.input, wsproto.Text, []byte("broken \xe2\x82\xff"))
	case 1:
		p.input = append(p.input, 0x83, 0x80)
	case 2:
		p.input = s.Append(p.input, wsproto.Close, []byte("\x03\xe8bye"))
	}
	return p
}

func (p *peerStream) appendMessage(r *rand.Rand, s *wsproto.Sender) {
	op, data := wsproto.Text, strings.Repeat([]string{"ö€𝄞", "abc", "\u0800\ud7ff\U00010000\U0010ffff"}[r.IntN(3)],
		r.IntN(1+[]int{3, 30, 300}[r.IntN(3)]))
	if r.IntN(2) == 0 {
		op = wsproto.Binary
	}
	for n := r.IntN(4); n > 0; n-- {
		cut := r.IntN(len(data) + 1)
		f := s.Frame(op, []byte(data[:cut]), false)
		p.input = f.Append(p.input)
		if r.IntN(2) == 0 {
			p.input = s.Append(p.input, wsproto.Ping+wsproto.Opcode(r.IntN(2)), []byte(data[:min(cut, 20)]))
		}
		data = data[cut:]
	}
	f := s.Frame(op, []byte(data), true)
	p.input = f.Append(p.input)
}

// move saves a Receiver and loads it, if it can move. A Receiver that cannot is unchanged.
func move(t *testing.T, s *wsproto.Receiver, c *wsproto.Config) (moved bool) {
	t.Helper()
	b, err := s.Save([]byte("before"))
	again, _ := s.Save([]byte("before"))
	if !bytes.Equal(b, again) {
		t.Fatalf("saved as %x, then as %x", b, again)
	}
	if err != nil {
		if string(b) != "before" {
			t.Fatalf("saved %q with %v", b, err)
		}
		return false
	}
	to, rest, err := wsproto.LoadReceiver(c, append(b, "behind"...)[len("before"):])
	if err != nil || string(rest) != "behind" {
		t.Fatalf("%x: rest %q, %v", b, rest, err)
	}
	if again, err = to.Save([]byte("before")); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("saved as %x, and when loaded as %x, %v", b, again, err)
	}
	if n, m := s.WindowBytes(), to.WindowBytes(); n != m || to.InMessage() != s.InMessage() ||
		to.Missing() != s.Missing() || to.Received() != s.Received() && s.InMessage() {
		t.Fatalf("window of %d bytes, then of %d; %d and %d bytes received", n, m, s.Received(), to.Received())
	}
	clear(b)
	s.Release()
	*s = to
	return true
}

// events plays the input in pieces that end where ends says, and calls moves behind each.
func (p *peerStream) events(t *testing.T, ends []int, moves func(at int, s *wsproto.Receiver)) (all []string) {
	s := wsproto.NewReceiver(&p.config, p.agreed)
	defer s.Release()
	input := bytes.Clone(p.input)
	var pieces string
	begin := 0
	for _, end := range ends {
		for again := true; again; {
			ev, n, err := s.Next(input[begin:end])
			begin += n
			again = ev.Kind != wsproto.EventNone || s.Inflating()
			switch {
			case err != nil:
				// how much was delivered before depends on the cuts
				all, pieces = append(all, err.Error()), ""
			case ev.Kind == wsproto.EventPiece:
				pieces += string(ev.Payload)
			case ev.Kind != wsproto.EventNone:
				all = append(all, fmt.Sprintf("%d %v %q %d", ev.Kind, ev.Opcode, pieces+string(ev.Payload), ev.Code))
				pieces = ""
			}
			if again {
				moves(end, &s) // between two events
			}
		}
		moves(end, &s)
	}
	return append(all, pieces)
}

const (
	hasMoved = 1 + iota
	hasStayed
)

// mover returns move for a Receiver that inflates in steps too. Once it has moved in a message it
// inflates this anew, and would never end if it moved after each step.
func (p *peerStream) mover(t *testing.T) func(s *wsproto.Receiver) int {
	anew := false
	return func(s *wsproto.Receiver) int {
		had := anew
		switch anew = s.Inflating() && !p.config.Stream; {
		case anew && had:
			return 0
		case move(t, s, &p.config):
			return hasMoved
		}
		return hasStayed
	}
}

// TestMoveBetweenAnyBytes: a Receiver that was saved and loaded has the events of one that was not,
// wherever that happens.
func TestMoveBetweenAnyBytes(t *testing.T) {
	moved, stayed := 0, 0
	for seed := range uint64(60) {
		p := newPeerStream(seed)
		want := fmt.Sprint(p.events(t, []int{len(p.input)}, func(int, *wsproto.Receiver) {}))
		each := make([]int, len(p.input))
		for i := range each {
			each[i] = i + 1
		}
		try := p.mover(t)
		everywhere := func(_ int, s *wsproto.Receiver) {
			switch try(s) {
			case hasMoved:
				moved++
			case hasStayed:
				stayed++
			}
		}
		compareMoved(t, seed, -1, fmt.Sprint(p.events(t, each, everywhere)), want)
		for at := 0; at <= len(p.input); at += 1 + len(p.input)/100 {
			once := func(end int, s *wsproto.Receiver) {
				if end == at {
					try(s)
				}
			}
			compareMoved(t, seed, at, fmt.Sprint(p.events(t, []int{at, len(p.input)}, once)), want)
		}
	}
	if moved < 10*stayed {
		t.Errorf("moved %d times, and stayed %d times", moved, stayed)
	}
}

func compareMoved(t *testing.T, seed uint64, at int, got, want string) {
	t.Helper()
	if got != want {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Fatalf("seed %d, moved at %d (-1: everywhere), behind %d bytes: [%.60q], want [%.60q]", seed, at, n, got[n:],
			want[n:])
	}
}

// TestMoveToOtherLimits: the limits that count are those of the Config that a Receiver is loaded
// with.
func TestMoveToOtherLimits(t *testing.T) {
	old := &wsproto.Config{Role: wsproto.Client}
	s := wsproto.NewReceiver(old, nil)
	frame := append(wsproto.AppendHeader(nil, wsproto.Header{Opcode: wsproto.Binary, Length: 100}),
		make([]byte, 100)...)
	s.Next(frame)
	s.Next(append(wsproto.AppendHeader(nil, wsproto.Header{Length: 100}), 1, 2, 3))
	b, err := s.Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		limits wsproto.Limits
		code   wsproto.CloseCode
	}{
		{wsproto.Limits{MaxMessage: 200}, 0},
		{wsproto.Limits{MaxMessage: 199}, wsproto.MessageTooBig},
		{wsproto.Limits{MaxMessage: 50}, wsproto.MessageTooBig},
		{wsproto.Limits{MaxFrame: 97}, 0},
		{wsproto.Limits{MaxFrame: 96}, wsproto.MessageTooBig},
	} {
		_, _, err := wsproto.LoadReceiver(&wsproto.Config{Role: wsproto.Client, Limits: test.limits}, b)
		var p *wsproto.ProtocolError
		if errors.As(err, &p) != (test.code != 0) || p != nil && p.Code != test.code {
			t.Errorf("%+v: %v", test.limits, err)
		}
	}
}

// TestMoveWhileInflating: a message that is inflated in steps is whole, so it does not keep the
// connection from moving. Its limits are those of the new Config.
func TestMoveWhileInflating(t *testing.T) {
	text := strings.Repeat("a text that is compressed well", 10_000)
	sender := wsproto.NewSender(&wsproto.Config{Role: wsproto.Client,
		Compressor: deflate.New(deflate.Compression{})}, new(wsproto.Deflate))
	f := sender.Frame(wsproto.Text, []byte(text), true)
	input := f.Append(nil)
	config := func(step, limit int) *wsproto.Config {
		return &wsproto.Config{InflateStep: step, Compressor: deflate.New(deflate.Compression{}),
			Limits: wsproto.Limits{MaxMessage: limit}}
	}
	for _, test := range []struct {
		name string
		to   *wsproto.Config
		code wsproto.CloseCode
	}{
		{name: "the same", to: config(1000, 0)},
		{name: "without steps", to: config(0, 0)},
		{name: "smaller limit", to: config(1000, 1000), code: wsproto.MessageTooBig},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := wsproto.NewReceiver(config(1000, 0), new(wsproto.Deflate))
			src := bytes.Clone(input)
			for range 3 {
				_, n, err := s.Next(src)
				if src = src[n:]; err != nil || !s.Inflating() {
					t.Fatalf("inflating %t, %v", s.Inflating(), err)
				}
			}
			if !move(t, &s, test.to) {
				t.Fatal("it does not move")
			}
			for {
				ev, n, err := s.Next(src)
				src = src[n:]
				var p *wsproto.ProtocolError
				switch {
				case errors.As(err, &p) && p.Code == test.code:
					return
				case err != nil:
					t.Fatal(err)
				case ev.Kind == wsproto.EventNone && s.Inflating():
					continue
				}
				if ev.Kind != wsproto.EventMessage || string(ev.Payload) != text || len(src) > 0 || test.code != 0 {
					t.Fatalf("kind %d, %d bytes, %d left", ev.Kind, len(ev.Payload), len(src))
				}
				return
			}
		})
	}
}

// TestMoveToPieces: what has arrived of a message is delivered in pieces if the Config says so.
func TestMoveToPieces(t *testing.T) {
	old := &wsproto.Config{Role: wsproto.Client}
	s := wsproto.NewReceiver(old, nil)
	s.Next([]byte("\x01\x05hel"))
	b, _ := s.Save(nil)
	s, _, err := wsproto.LoadReceiver(&wsproto.Config{Role: wsproto.Client, Stream: true,
		Limits: wsproto.Limits{MaxWhole: 2}}, b)
	if err != nil {
		t.Fatal(err)
	}
	ev, _, err := s.Next([]byte("lo"))
	if err != nil || ev.Kind != wsproto.EventPiece || string(ev.Payload) != "hello" {
		t.Fatalf("kind %d, %q, %v", ev.Kind, ev.Payload, err)
	}
	b, _ = s.Save(nil)
	if _, _, err = wsproto.LoadReceiver(old, b); err == nil {
		t.Error("loaded a message of which a piece was delivered, to put it together")
	}
}

// TestEndedReceiverStays: behind a Close frame or an error there is nothing to move.
func TestEndedReceiverStays(t *testing.T) {
	for _, input := range []string{"\x88\x00", "\x83\x00"} {
		s := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
		s.Next([]byte(input))
		if b, err := s.Save(nil); err == nil {
			t.Errorf("behind %q it was saved as %x", input, b)
		}
	}
}

// TestLoadedReceiverOwnsWhatItNeeds: one without a message owns no memory, and one with a message
// what it would have without a move.
func TestLoadedReceiverOwnsWhatItNeeds(t *testing.T) {
	c := &wsproto.Config{Role: wsproto.Client}
	s := wsproto.NewReceiver(c, nil)
	for _, input := range []string{"", "\x02\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 3000)} {
		s.Next([]byte(input))
		held := s.Held()
		if !move(t, &s, c) || s.Held() != held {
			t.Errorf("holds %d bytes, before %d", s.Held(), held)
		}
	}
}

// BenchmarkMove saves and loads a Receiver, for both processes together.
func BenchmarkMove(b *testing.B) {
	c := &wsproto.Config{}
	for _, test := range []struct{ name, input string }{
		{"idle", ""}, {"in a message", "\x01\xfe\x03\xe8\x01\x02\x03\x04" + strings.Repeat("\x01\x02\x03\x04", 100)},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := wsproto.NewReceiver(c, nil)
			s.Next([]byte(test.input))
			var state []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if state, err = s.Save(state[:0]); err != nil {
					b.Fatal(err)
				}
				to, _, err := wsproto.LoadReceiver(c, state)
				if err != nil {
					b.Fatal(err)
				}
				to.Release()
			}
			b.ReportMetric(float64(len(state)), "B/state")
		})
	}
}
