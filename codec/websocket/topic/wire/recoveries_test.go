package wire_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestRecoveriesLeaveRoomForMessages: a client that asks for a long history again and again, and
// leaves before it comes, does not keep messages of other topics from other clients.
func TestRecoveriesLeaveRoomForMessages(t *testing.T) {
	hub := &topic.Hub{Options: func(name string) topic.Options {
		if name == "past" {
			return topic.Options{History: 4000}
		}
		return topic.Options{}
	}}
	var pending atomic.Int64
	e := &wire.Endpoint{Hub: hub,
		Publish: func(_ *websocket.Conn, _ string, _ websocket.Opcode, data []byte) ([]byte, error) {
			pending.Store(hub.Stats().Pending)
			return data, nil
		}}
	url := serve(t, e)
	for range 4000 {
		if err := hub.Publish("past", websocket.Text, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	honest := dial(t, url, wire.SubprotocolBinary)
	honest.Send(wsproto.Binary, "\x01\x04live")
	honest.Message()

	attacker := dial(t, url, wire.SubprotocolBinary)
	var burst []byte
	for range 128 {
		for _, request := range []string{"\x01\x04past\x00\x00", "\x02\x04past"} {
			burst = wstest.Frame{Opcode: wsproto.Binary, Payload: request}.Append(burst, wsproto.Client)
		}
	}
	burst = wstest.Frame{Opcode: wsproto.Binary, Payload: "\x03\x00\x04live\x01hello"}.
		Append(burst, wsproto.Client)
	attacker.SendRaw(burst)
	if _, got := honest.Message(); !strings.HasPrefix(got, "\x82") || !strings.HasSuffix(got, "\x01hello") {
		t.Errorf("%q instead of the message", got)
	}
	if n := pending.Load(); n > 1<<20 {
		t.Errorf("%d bytes wait for the loop because of %d", n, len(burst))
	}
}
