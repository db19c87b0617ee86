package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

func serve(t *testing.T, e *wire.Endpoint) string {
	return wstest.Serve(t, &websocket.Server{Subprotocols: e.Subprotocols(), Message: e.Message})
}

func dial(t *testing.T, url string, subprotocols ...string) *wstest.Peer {
	return wstest.Dial(t, url, &wstest.Offer{Subprotocols: subprotocols})
}

// talk sends each line after "> " and expects the others. In both, E is the epoch of the first
// position that comes.
func talk(t *testing.T, p *wstest.Peer, epoch *string, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		said, sends := strings.CutPrefix(line, "> ")
		line = strings.ReplaceAll(said, "E-", *epoch+"-")
		switch {
		case line == "":
		case sends:
			p.Send(wsproto.Text, line)
		case *epoch == "" && strings.Contains(line, `"pos":"`):
			_, got := p.Message()
			var e struct{ Pos string }
			if err := json.Unmarshal([]byte(got), &e); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			*epoch, _, _ = strings.Cut(e.Pos, "-")
			if want := strings.Replace(line, `"-`, `"`+*epoch+"-", 1); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		default:
			p.Expect(wsproto.Text, line)
		}
	}
}

// shout publishes a message with capital letters.
func shout(_ *websocket.Conn, _ string, _ websocket.Opcode, data []byte) ([]byte, error) {
	data = bytes.Clone(data)
	for i, b := range data {
		if b >= 'a' && b <= 'z' {
			data[i] -= 'a' - 'A'
		}
	}
	return data, nil
}

func TestEndpoint(t *testing.T) {
	hub := &topic.Hub{Options: func(string) topic.Options { return topic.Options{History: 2} }}
	e := &wire.Endpoint{Hub: hub, Publish: shout, MaxPublish: 10}
	url := serve(t, e)
	ada, epoch := dial(t, url, wire.SubprotocolJSON), ""
	talk(t, ada, &epoch, `
		> {"type":"subscribe","topic":"room"}
		{"type":"subscribed","topic":"room","pos":"E-0"}
		> {"type":"publish","id":1,"topic":"room","text":"one"}
		{"type":"published","id":1}
		{"type":"message","topic":"room","pos":"E-1","text":"ONE"}
		> {"type":"publish","topic":"room","base64":"/wBh"}
		{"type":"message","topic":"room","pos":"E-2","base64":"/wBB"}
		> {"type":"ping"}
		{"type":"pong"}
		> {"type":"unsubscribe","topic":"room"}
		> {"type":"unsubscribe","topic":"room"}
		> {"type":"publish","id":2,"topic":"room","text":"three"}
		{"type":"published","id":2}`)
	talk(t, dial(t, url, wire.SubprotocolJSON), &epoch, `
		> {"type":"subscribe","topic":"room","after":"E-1"}
		{"type":"subscribed","topic":"room","pos":"E-1"}
		{"type":"message","topic":"room","pos":"E-2","base64":"/wBB"}
		{"type":"message","topic":"room","pos":"E-3","text":"THREE"}`)
	talk(t, dial(t, url, wire.SubprotocolJSON), &epoch, `
		> {"type":"subscribe","topic":"room","after":"E-0"}
		{"type":"subscribed","topic":"room","pos":"E-0"}
		{"type":"gap","topic":"room","after":"E-0","next":"E-2"}
		{"type":"message","topic":"room","pos":"E-2","base64":"/wBB"}
		{"type":"message","topic":"room","pos":"E-3","text":"THREE"}`)

	bob := dial(t, url, wire.SubprotocolBinary, wire.SubprotocolJSON)
	bob.Send(wsproto.Binary, "\x01\x04room\x00\x00")
	for _, want := range []string{"\x81\x04room\x00\x00", "\x02\x02\xff\x00A", "\x03\x01THREE"} {
		if op, got := bob.Message(); op != wsproto.Binary || !strings.HasSuffix(got, want) {
			t.Fatalf("%q, want %q at the end", got, want)
		}
	}
	bob.Send(wsproto.Binary, "\x03\x05\x04room\x01four")
	bob.Expect(wsproto.Binary, "\x86\x05")
	if _, got := bob.Message(); !strings.HasPrefix(got, "\x82\x04room") || !strings.HasSuffix(got, "\x04\x01FOUR") {
		t.Fatalf("%q", got)
	}
	bob.Send(wsproto.Binary, "\x04")
	bob.Expect(wsproto.Binary, "\x88")
	bob.Send(wsproto.Binary, "\x01\x04room")
	bob.Expect(wsproto.Binary, "\x87\x99\x03\x00\x04room\x12already subscribed")
}

// TestEndpointErrors: a client is told why, and stays connected.
func TestEndpointErrors(t *testing.T) {
	hub := &topic.Hub{MaxTopicsPerConn: 1, MaxName: 6, Authorize: func(_ *websocket.Conn, name string) error {
		switch name {
		case "secret":
			return errors.New("what clients must not read")
		case "paid":
			return fmt.Errorf("wrapped: %w", &wire.Error{Code: 402, Text: "pay first"})
		}
		return nil
	}}
	e := &wire.Endpoint{Hub: hub, MaxPublish: 3}
	mute := serve(t, e)
	talk(t, dial(t, mute, wire.SubprotocolJSON), new(string), `
		> {"type":"publish","id":1,"topic":"a","text":"one"}
		{"type":"error","code":403,"id":1,"topic":"a","text":"not allowed"}
		> {"type":"publish","topic":"a","text":"nobody wants to know"}
		> {"type":"subscribe","topic":"secret"}
		{"type":"error","code":403,"topic":"secret","text":"not allowed"}
		> {"type":"subscribe","topic":"paid"}
		{"type":"error","code":402,"topic":"paid","text":"pay first"}
		> {"type":"subscribe","topic":""}
		{"type":"error","code":400,"topic":"","text":"the name of the topic is empty or too long"}
		> {"type":"subscribe","topic":"1234567"}
		{"type":"error","code":400,"topic":"1234567","text":"the name of the topic is empty or too long"}
		> {"type":"subscribe","topic":"a"}
		{"type":"subscribed","topic":"a","pos":"-0"}
		> {"type":"subscribe","topic":"a"}
		{"type":"error","code":409,"topic":"a","text":"already subscribed"}
		> {"type":"subscribe","topic":"b"}
		{"type":"error","code":429,"topic":"b","text":"too many topics"}`)
	loud := serve(t, &wire.Endpoint{Hub: hub, Publish: shout, MaxPublish: 3})
	talk(t, dial(t, loud, wire.SubprotocolJSON), new(string), `
		> {"type":"publish","id":1,"topic":"a","text":"four"}
		{"type":"error","code":413,"id":1,"topic":"a","text":"the message is too large"}
		> {"type":"publish","id":2,"topic":"a","text":"one"}
		{"type":"published","id":2}
		> {"type":"publish","id":3,"topic":"1234567","text":"one"}
		{"type":"error","code":400,"id":3,"topic":"1234567","text":"the name of the topic is empty or too long"}`)
}

// TestEndpointCloses: what is not of the protocol ends the connection, and the reason says why.
func TestEndpointCloses(t *testing.T) {
	url := serve(t, &wire.Endpoint{Hub: &topic.Hub{}})
	for _, test := range []struct {
		subprotocol, send, reason string
		op                        wsproto.Opcode
		code                      wsproto.CloseCode
	}{
		{"", `{"type":"ping"}`, "required", wsproto.Text, websocket.PolicyViolation},
		{wire.SubprotocolJSON, "\x04", "topics.v1.json", wsproto.Binary, websocket.UnsupportedData},
		{wire.SubprotocolBinary, `{"type":"ping"}`, "topics.v1.binary", wsproto.Text, websocket.UnsupportedData},
		{wire.SubprotocolJSON, `{"type":"shout"}`, `unknown type "shout"`, wsproto.Text, websocket.InvalidPayload},
		{wire.SubprotocolBinary, "\x63", "unknown type 99", wsproto.Binary, websocket.InvalidPayload},
	} {
		var offer []string
		if test.subprotocol != "" {
			offer = append(offer, test.subprotocol)
		}
		p := dial(t, url, offer...)
		p.Send(test.op, test.send)
		if reason := p.ExpectClose(test.code); !strings.Contains(reason, test.reason) {
			t.Errorf("%q, want %q", reason, test.reason)
		}
	}
}

func TestEndpointPresence(t *testing.T) {
	hub := &topic.Hub{Options: func(name string) topic.Options { return topic.Options{Presence: name == "room"} }}
	last := 0
	url := serve(t, &wire.Endpoint{Hub: hub, MaxMembers: 2, Member: func(c *websocket.Conn, _ string) *topic.Member {
		if c.Value == nil { // peers come one after the other
			last++
			c.Value = last
		}
		return &topic.Member{ID: fmt.Sprint(c.Value), Info: []byte("number " + fmt.Sprint(c.Value))}
	}})
	subscribe := `{"type":"subscribe","topic":"room"}`
	join := func(want string) *wstest.Peer {
		p := dial(t, url, wire.SubprotocolJSON)
		p.Send(wsproto.Text, subscribe)
		for _, want := range []string{`"subscribed"`, want} { // its own coming may come in between
			got := ""
			for !strings.Contains(got, want) {
				_, got = p.Message()
			}
		}
		return p
	}
	ada := join(`"members":[{"id":"1","info":"number 1"}]`)
	join(`"members":[{"id":"1","info":"number 1"},{"id":"2","info":"number 2"}]}`)
	eve := join(`"members":[{"id":"1","info":"number 1"},{"id":"2","info":"number 2"}],"more":1`)
	eve.CloseNow()
	got := ""
	for !strings.Contains(got, `"left":["3"]`) {
		_, got = ada.Message()
	}
}

func TestServeScript(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		w := httptest.NewRecorder()
		wire.ServeScript(w, httptest.NewRequest(method, "/topics.js", nil))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") ||
			strings.Contains(w.Body.String(), "class Topics") != (method == "GET") {
			t.Errorf("%s: %d, %v, %d bytes", method, w.Code, w.Header(), w.Body.Len())
		}
	}
}
