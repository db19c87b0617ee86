// Package differential has other libraries read what a wsproto.Receiver reads. What both accept
// must be the same messages; what only one of them accepts must be in a list of named differences,
// with the section of the RFC that decides.
package differential

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// event is something whole that was received; of a Close frame, kind has the code.
type event struct{ kind, payload string }

func closed(code int, reason string) event { return event{fmt.Sprint("close ", code), reason} }

// outcome is what a library made of an input. err is nil if it read on to the end of the input, or
// to a Close frame.
type outcome struct {
	events []event
	err    error
}

func (o *outcome) add(kind string, payload []byte) {
	o.events = append(o.events, event{kind, string(payload)})
}

// difference is a rule that one of the two keeps and the other does not.
type difference struct {
	err  string // a regular expression for the error of the one that does
	rule string
	// example is what a client sends that shows the difference, masked with zeros; on a compressed
	// connection if the rule is of RFC 7692.
	example string
}

// ours is what a Receiver makes of the input.
func ours(role wsproto.Role, compress bool, input []byte) (o outcome) {
	config := wsproto.Config{Role: role, Limits: wsproto.Limits{MaxMessage: -1, MaxFragments: 1 << 20},
		Compressor: deflate.New(deflate.Compression{MaxRatio: 2000})}
	var agreed *wsproto.Deflate
	if compress {
		agreed = &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	}
	s := wsproto.NewReceiver(&config, agreed)
	defer s.Release()
	kinds := map[wsproto.Opcode]string{wsproto.Text: "text", wsproto.Binary: "binary"}
	for len(input) > 0 {
		ev, n, err := s.Next(input)
		input = input[n:]
		switch {
		case err != nil:
			o.err = err
			return o
		case ev.Kind == wsproto.EventNone:
			return o
		case ev.Kind == wsproto.EventMessage:
			o.add(kinds[ev.Opcode], ev.Payload)
		case ev.Kind == wsproto.EventPing:
			o.add("ping", ev.Payload)
		case ev.Kind == wsproto.EventPong:
			o.add("pong", ev.Payload)
		case ev.Kind == wsproto.EventClose:
			o.events = append(o.events, closed(int(ev.Code), string(ev.Payload)))
			return o
		}
	}
	return o
}

// compare wants the two outcomes to be the same but for the listed differences: what the other
// library lets through that we refuse (laxer), and what it refuses that we let through (stricter).
// What it refuses while we wait for the rest of a message (earlier), we may not accept later.
func compare(t *testing.T, ours, theirs outcome, laxer, stricter, earlier []difference) {
	t.Helper()
	for i := range min(len(ours.events), len(theirs.events)) {
		if ours.events[i] != theirs.events[i] {
			t.Fatalf("event %d: we have %.80q, they have %.80q", i, ours.events[i], theirs.events[i])
		}
	}
	ok := true
	switch more := len(theirs.events) - len(ours.events); {
	case more > 0:
		ok = listed(laxer, ours.err)
	case more < 0 || ours.err == nil && theirs.err != nil:
		message := slices.ContainsFunc(ours.events[len(theirs.events):],
			func(e event) bool { return e.kind == "text" || e.kind == "binary" })
		ok = listed(stricter, theirs.err) || !message && listed(earlier, theirs.err)
	}
	if !ok {
		t.Fatalf("we accept %d events, then %v; they %d, then %v", len(ours.events), ours.err, len(theirs.events),
			theirs.err)
	}
}

func listed(differences []difference, err error) bool {
	for _, d := range differences {
		if err != nil && regexp.MustCompile(d.err).MatchString(err.Error()) {
			return true
		}
	}
	return false
}

// seeds are conversations of frames that both must read alike.
func seeds(add func(input []byte, client, compress bool)) {
	frame := func(dst []byte, h wsproto.Header, payload string, client bool) []byte {
		h.Length, h.Masked, h.Key = uint64(len(payload)), !client, 0x01020304
		n := len(wsproto.AppendHeader(dst, h))
		dst = append(wsproto.AppendHeader(dst, h), payload...)
		if !client {
			wsproto.Mask(dst[n:], h.Key)
		}
		return dst
	}
	for _, client := range []bool{false, true} {
		var b []byte
		b = frame(b, wsproto.Header{Fin: true, Opcode: wsproto.Text}, "käse", client)
		b = frame(b, wsproto.Header{Opcode: wsproto.Binary}, strings.Repeat("x", 200), client)
		b = frame(b, wsproto.Header{Fin: true, Opcode: wsproto.Ping}, "are you there?", client)
		b = frame(b, wsproto.Header{Fin: true}, "", client)
		b = frame(b, wsproto.Header{Fin: true, Opcode: wsproto.Close}, "\x03\xe8bye", client)
		add(b, client, false)
		b = frame(nil, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Text},
			"\xf2\x48\xcd\xc9\xc9\x07\x00", client)
		b = frame(b, wsproto.Header{RSV: wsproto.RSV1, Opcode: wsproto.Text}, "\xf2\x48\x05\x00\x00\x00\xff\xff",
			client)
		b = frame(b, wsproto.Header{Fin: true}, "\xca\xc9\xc9\x07\x00", client)
		b = frame(b, wsproto.Header{Fin: true, Opcode: wsproto.Pong}, "", client)
		b = frame(b, wsproto.Header{Fin: true, Opcode: wsproto.Close}, "", client)
		add(b, client, true)
	}
}

// testDifferences wants every difference that is listed to be there: one that is gone must not hide
// others.
func testDifferences(t *testing.T, theirs func(compress bool, input []byte) outcome, laxer, stricter,
	earlier []difference) {
	for i, d := range slices.Concat(laxer, stricter, earlier) {
		input, err := hex.DecodeString(strings.ReplaceAll(d.example, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		compress := strings.HasPrefix(d.rule, "RFC 7692")
		we, they := ours(wsproto.Server, compress, bytes.Clone(input)), theirs(compress, bytes.Clone(input))
		one := []difference{d}
		if i < len(laxer) && (!listed(one, we.err) || len(they.events) <= len(we.events)) ||
			i >= len(laxer) && (!listed(one, they.err) || we.err != nil) {
			t.Errorf("%s: there is no difference: we %q, %v, they %q, %v", d.rule, we.events, we.err, they.events,
				they.err)
		}
	}
}
