package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// appendBinary is what a client does.
func appendBinary(b []byte, r *request) []byte {
	b = append(b, byte(r.kind))
	switch r.kind {
	case kindSubscribe:
		if b = putString(b, r.topic); r.recover {
			b = putPosition(b, r.after)
		}
	case kindUnsubscribe:
		b = putString(b, r.topic)
	case kindPublish:
		b = putString(binary.AppendUvarint(b, r.id), r.topic)
		b = append(append(b, byte(r.op)), r.data...)
	}
	return b
}

// jsonRequest is a request as encoding/json has it.
type jsonRequest struct {
	Type   string  `json:"type"`
	Topic  *string `json:"topic,omitempty"`
	After  string  `json:"after,omitempty"`
	ID     uint64  `json:"id,omitempty"`
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
}

func appendJSON(r *request) []byte {
	j := jsonRequest{Type: kindNames[r.kind], ID: r.id}
	if r.kind != kindPing {
		name := string(r.topic)
		j.Topic = &name
	}
	if r.recover {
		j.After = string(appendPosition(nil, r.after))
	}
	text, coded := string(r.data), base64.StdEncoding.EncodeToString(r.data)
	switch {
	case r.kind != kindPublish:
	case r.op == websocket.Text:
		j.Text = &text
	default:
		j.Base64 = &coded
	}
	b, err := json.Marshal(j)
	if err != nil {
		panic(err)
	}
	return b
}

func wantRequest(t *testing.T, got, want request) {
	t.Helper()
	if !bytes.Equal(got.topic, want.topic) || !bytes.Equal(got.data, want.data) {
		t.Fatalf("topic %q, data %q; want %q, %q", got.topic, got.data, want.topic, want.data)
	}
	got.topic, got.data, want.topic, want.data = nil, nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

// requests are those of docs/topics.md.
var requests = []struct {
	name, json, binary string
	want               request
}{
	{name: "subscribe", json: `{"type":"subscribe","topic":"room"}`, binary: "\x01\x04room",
		want: request{kind: kindSubscribe, topic: []byte("room")}},
	{name: "subscribe after", json: `{"type":"subscribe","topic":"room","after":"7-300"}`,
		binary: "\x01\x04room\x07\xac\x02",
		want: request{kind: kindSubscribe, topic: []byte("room"), recover: true,
			after: topic.Position{Epoch: 7, Seq: 300}}},
	{name: "unsubscribe", json: `{"type":"unsubscribe","topic":"room"}`, binary: "\x02\x04room",
		want: request{kind: kindUnsubscribe, topic: []byte("room")}},
	{name: "publish text", json: `{"type":"publish","id":5,"topic":"room","text":"hi"}`,
		binary: "\x03\x05\x04room\x01hi",
		want:   request{kind: kindPublish, id: 5, topic: []byte("room"), op: websocket.Text, data: []byte("hi")}},
	{name: "publish bytes", json: `{"type":"publish","topic":"room","base64":"AP8="}`,
		binary: "\x03\x00\x04room\x02\x00\xff",
		want:   request{kind: kindPublish, topic: []byte("room"), op: websocket.Binary, data: []byte{0, 0xFF}}},
	{name: "ping", json: `{"type":"ping"}`, binary: "\x04", want: request{kind: kindPing}},
}

func TestParse(t *testing.T) {
	for _, test := range requests {
		t.Run(test.name, func(t *testing.T) {
			for enc, b := range map[encoding]string{jsonEncoding{}: test.json, binaryEncoding{}: test.binary} {
				r, err := enc.parse([]byte(b))
				if err != nil {
					t.Fatal(err)
				}
				wantRequest(t, r, test.want)
			}
			if b := appendBinary(nil, &test.want); string(b) != test.binary {
				t.Errorf("%q", b)
			}
		})
	}
}

func TestParseJSONEscapes(t *testing.T) {
	for text, want := range map[string]string{
		`\"\\\/\b\f\n\r\t`:        "\"\\/\b\f\n\r\t",
		`\u0041\u00e4\u20AC x`:    "Aä€ x",
		`\ud83d\ude00!`:           "😀!",
		`\ud83d`:                  "\uFFFD",
		`\ud83dx`:                 "\uFFFDx",
		`\ud83d\u0041`:            "\uFFFDA",
		`\ude00\ud83d\ude00`:      "\uFFFD😀",
		`ä` + "\u2028" + `\u0000`: "ä\u2028\x00",
	} {
		r, err := jsonEncoding{}.parse([]byte(` { "text" : "` + text + `" , "t\u0079pe":"publish", "topic":"a" } `))
		if err != nil || string(r.data) != want {
			t.Errorf("%s: %q, %v", text, r.data, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		enc      encoding
		in, want string
	}{
		{jsonEncoding{}, ``, "ends too early"},
		{jsonEncoding{}, `[]`, "{ expected at byte 0"},
		{jsonEncoding{}, `{}`, `no "type"`},
		{jsonEncoding{}, `{"type":"subscribe"`, "ends too early"},
		{jsonEncoding{}, `{"type":"subscribe"}`, "missing"},
		{jsonEncoding{}, `{"type":"shout","topic":"a"}`, `unknown type "shout"`},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","text":"b"}`, "does not belong"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","topic":"b"}`, "twice"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","Topic":"b"}`, `unknown key "Topic"`},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a",}`, "a string expected"},
		{jsonEncoding{}, `{"type":"subscribe","topic":1}`, "a string expected"},
		{jsonEncoding{}, `{"type":"subscribe","topic":null}`, "a string expected"},
		{jsonEncoding{}, `{"type":"ping"} {}`, "something follows"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","after":"7"}`, "EPOCH-SEQ"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","after":"7--1"}`, "EPOCH-SEQ"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","after":"07-1"}`, "EPOCH-SEQ"},
		{jsonEncoding{}, `{"type":"subscribe","topic":"a","after":"18446744073709551616-1"}`, "EPOCH-SEQ"},
		{jsonEncoding{}, `{"type":"publish","topic":"a"}`, "either"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"","base64":""}`, "either"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","base64":"AP8"}`, "not base64"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","base64":"AP\n8="}`, "not base64"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","base64":"AP9="}`, "not base64"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"","id":9007199254740992}`, "2^53"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"","id":01}`, "whole number"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"","id":1.5}`, ", expected"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"` + "\n" + `"}`, "escape"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"\x"}`, "escape"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"\u12g4"}`, "escape"},
		{jsonEncoding{}, `{"type":"publish","topic":"a","text":"\`, "ends too early"},
		{binaryEncoding{}, "", "ends too early"},
		{binaryEncoding{}, "\x00", "unknown type 0"},
		{binaryEncoding{}, "\x05", "unknown type 5"},
		{binaryEncoding{}, "\x04\x00", "1 bytes too many"},
		{binaryEncoding{}, "\x01", "ends too early"},
		{binaryEncoding{}, "\x01\x05room", "ends too early"},
		{binaryEncoding{}, "\x01\x04room\x07", "ends too early"},
		{binaryEncoding{}, "\x01\x04room\x07\x01\x00", "too many"},
		{binaryEncoding{}, "\x01\x84\x00room", "shortest form"},
		{binaryEncoding{}, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "over 64 bits"},
		{binaryEncoding{}, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends too early"},
		{binaryEncoding{}, "\x01\x01\xff", "UTF-8"},
		{binaryEncoding{}, "\x03\x00\x01a", "ends too early"},
		{binaryEncoding{}, "\x03\x00\x01a\x08", "neither"},
		{binaryEncoding{}, "\x03\x00\x01a\x01\xff", "UTF-8"},
		{binaryEncoding{}, "\x03\x80\x80\x80\x80\x80\x80\x80\x10\x01a\x01", "2^53"},
	} {
		if r, err := test.enc.parse([]byte(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %+v, %v; want %q", test.in, r, err, test.want)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, test := range requests {
		if strings.Contains(test.json, "base64") {
			continue
		}
		b := make([]byte, 0, 200)
		if n := testing.AllocsPerRun(100, func() {
			jsonEncoding{}.parse(append(b, test.json...))
			binaryEncoding{}.parse(append(b, test.binary...))
		}); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}

// FuzzParseJSON: what is accepted is the same to encoding/json, and in binary.
func FuzzParseJSON(f *testing.F) {
	for _, test := range requests {
		f.Add(test.json)
	}
	f.Add(`{"type":"publish","topic":"\ud83d\ude00\ud83d\n","text":"\u0000\/"}`)
	f.Fuzz(func(t *testing.T, in string) {
		if !utf8.ValidString(in) {
			t.Skip("no text of WebSocket")
		}
		r, err := jsonEncoding{}.parse([]byte(in))
		if err != nil {
			return
		}
		var j jsonRequest
		if err := json.Unmarshal([]byte(in), &j); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		want := request{kind: r.kind, id: j.ID, recover: j.After != ""}
		if kindNames[r.kind] != j.Type {
			t.Fatalf("type %q, want %q", kindNames[r.kind], j.Type)
		}
		if j.Topic != nil {
			want.topic = []byte(*j.Topic)
		}
		if want.recover {
			if want.after, err = parsePosition(j.After); err != nil {
				t.Fatal(err)
			}
		}
		if j.Text != nil {
			want.op, want.data = websocket.Text, []byte(*j.Text)
		}
		if j.Base64 != nil {
			want.op = websocket.Binary
			if want.data, err = base64.StdEncoding.DecodeString(*j.Base64); err != nil {
				t.Fatal(err)
			}
		}
		wantRequest(t, r, want)
		again, err := binaryEncoding{}.parse(appendBinary(nil, &r))
		if err != nil {
			t.Fatalf("in binary: %v", err)
		}
		wantRequest(t, again, r)
	})
}

// FuzzParseBinary: a request has one form only, and is the same in JSON.
func FuzzParseBinary(f *testing.F) {
	for _, test := range requests {
		f.Add([]byte(test.binary))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := binaryEncoding{}.parse(bytes.Clone(in))
		if err != nil {
			return
		}
		if b := appendBinary(nil, &r); !bytes.Equal(b, in) {
			t.Fatalf("again: %q", b)
		}
		again, err := jsonEncoding{}.parse(appendJSON(&r))
		if err != nil {
			t.Fatalf("in JSON: %v", err)
		}
		wantRequest(t, again, r)
	})
}
