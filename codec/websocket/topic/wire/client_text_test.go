package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
)

// TestClientRefusesWhatIsNotText: a name or a text that is not valid UTF-8 made the server close
// the connection. With a subscription it did so again and again, and the Client was of no use any
// more.
func TestClientRefusesWhatIsNotText(t *testing.T) {
	var n network
	c := client(serve(t, &wire.Endpoint{Hub: new(topic.Hub), Publish: shout}), &n)
	var lines told
	c.Lost = func(err error, _ time.Duration) { lines.note("lost: %v", err) }
	for _, s := range []*wire.Subscription{lines.subscription("a"), lines.subscription("b\xff")} {
		if err := c.Subscribe(s); s.Topic != "a" && !errors.Is(err, topic.ErrName) {
			t.Errorf("%q: %v", s.Topic, err)
		}
	}
	run(t, c)
	for _, bad := range []struct {
		name, data string
		op         websocket.Opcode
	}{{"a\xff", "x", websocket.Text}, {"a", "x\xff", websocket.Text}} {
		err := c.Publish(t.Context(), bad.name, bad.op, []byte(bad.data))
		if err == nil || errors.Is(err, wire.ErrLost) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := c.Publish(t.Context(), "a", websocket.Binary, []byte("\xff")); err != nil {
		t.Error(err)
	}
	publish(t, c, "a", "end")
	lines.wait(t, "a begins", "a \xff", "a END")
}
