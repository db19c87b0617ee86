package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

var update = flag.Bool("update", false, "write testdata/events.json")

// encoded is an event in both encodings. The client's tests read them from testdata/events.json.
type encoded struct {
	Name   string `json:"name"`
	JSON   string `json:"json"`
	Binary string `json:"binary"` // in hexadecimal digits
}

func events() []encoded {
	at := func(seq uint64) topic.Position { return topic.Position{Epoch: 7, Seq: seq} }
	far := topic.Position{Epoch: 1<<64 - 1, Seq: 1<<63 + 1}
	ada, bob := topic.Member{ID: "1", Info: []byte("Ada")}, topic.Member{ID: "2"}
	message := func(op websocket.Opcode, data string, p topic.Position) func(encoding) []byte {
		return func(e encoding) []byte {
			return e.Message(nil, "room", &topic.Message{Position: p, Op: op, Data: []byte(data)})
		}
	}
	var all []encoded
	for _, e := range []struct {
		name string
		make func(encoding) []byte
	}{
		{"subscribed", func(e encoding) []byte { return e.Subscribed(nil, "room", at(300)) }},
		{"text", message(websocket.Text, "hi", at(301))},
		{"text to escape", message(websocket.Text, "\"\\\n\t\x00\x1f \u2028😀", at(302))},
		{"no text", message(websocket.Text, "", at(303))},
		{"bytes", message(websocket.Binary, "\x00\xff", at(304))},
		{"far", message(websocket.Binary, "", far)},
		{"gap", func(e encoding) []byte { return e.Gap(nil, "room", topic.Gap{After: at(300), Next: at(310)}) }},
		{"gap to the end", func(e encoding) []byte { return e.Gap(nil, "room", topic.Gap{After: at(300)}) }},
		{"members", func(e encoding) []byte { return e.members(nil, "room", []topic.Member{ada, bob}, 0) }},
		{"more members", func(e encoding) []byte { return e.members(nil, "room", []topic.Member{ada}, 1) }},
		{"no members", func(e encoding) []byte { return e.members(nil, "room", nil, 0) }},
		{"joined", func(e encoding) []byte { return e.Present(nil, "room", []topic.Member{ada, bob}, nil) }},
		{"left", func(e encoding) []byte { return e.Present(nil, "room", nil, []topic.Member{ada, bob}) }},
		{"published", func(e encoding) []byte { return e.published(nil, 5) }},
		{"error", func(e encoding) []byte { return e.failed(nil, 5, []byte("room"), errForbidden) }},
		{"error of a subscription", func(e encoding) []byte { return e.failed(nil, 0, []byte("röm"), errForbidden) }},
		{"pong", func(e encoding) []byte { return e.pong(nil) }},
	} {
		all = append(all, encoded{e.name, string(e.make(jsonEncoding{})), hex.EncodeToString(e.make(binaryEncoding{}))})
	}
	return all
}

// TestEvents: what a server sends is what the client's tests read.
func TestEvents(t *testing.T) {
	const file = "testdata/events.json"
	got, err := json.MarshalIndent(events(), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not what %s has; -update writes it:\n%s", file, got)
	}
}

// FuzzMessage: a message is the same in both encodings.
func FuzzMessage(f *testing.F) {
	f.Add("room", "hi \"\\\n\x7f\u2028", []byte("\x00\xff"), uint64(7), uint64(300))
	f.Add("\xff", "\xe2\x82", []byte(nil), uint64(0), uint64(1<<63))
	f.Fuzz(func(t *testing.T, name, text string, data []byte, epoch, seq uint64) {
		at := topic.Position{Epoch: epoch, Seq: seq}
		for _, m := range []*topic.Message{
			{Position: at, Op: websocket.Text, Data: []byte(text)},
			{Position: at, Op: websocket.Binary, Data: data},
		} {
			var j struct{ Type, Topic, Pos, Text, Base64 string }
			b := jsonEncoding{}.Message(nil, name, m)
			if err := json.Unmarshal(b, &j); err != nil || !utf8.Valid(b) {
				t.Fatalf("%s: %v", b, err)
			}
			got := []byte(j.Text)
			if m.Op == websocket.Binary {
				got, _ = base64.StdEncoding.DecodeString(j.Base64)
			}
			p, err := parsePosition(j.Pos)
			if valid := func(s string) string { return string([]rune(s)) }; err != nil || p != at ||
				j.Topic != valid(name) || m.Op == websocket.Text && j.Text != valid(text) ||
				m.Op == websocket.Binary && !bytes.Equal(got, data) {
				t.Fatalf("%s of %q, %+v", b, name, m)
			}
			if !utf8.ValidString(name) {
				continue
			}
			b = binaryEncoding{}.Message(nil, name, m)
			gotName, rest, err := cutString(b[1:])
			if err != nil || b[0] != eventMessage || string(gotName) != name {
				t.Fatalf("%q: %q, %v", b, gotName, err)
			}
			p, rest, err = cutPosition(rest)
			if err != nil || p != at || websocket.Opcode(rest[0]) != m.Op || !bytes.Equal(rest[1:], m.Data) {
				t.Fatalf("%q of %+v, %v", b, m, err)
			}
		}
	})
}
