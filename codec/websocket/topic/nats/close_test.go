package nats

import (
	"errors"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestCloseBeforeStart checks that a Broker may be closed that no Hub has started, or could start.
func TestCloseBeforeStart(t *testing.T) {
	b := new(Broker)
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	h := topic.Hub{Broker: b}
	if err := h.Publish("t", 1, nil); err == nil {
		t.Error("a Hub uses a Broker that is closed")
	}
	h.Close()

	b = &Broker{Prefix: "not a prefix"}
	h2 := topic.Hub{Broker: b}
	for range 2 {
		if err := h2.Publish("t", 1, nil); err == nil || errors.Is(err, topic.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	h2.Members("t", func(_ []topic.Member, err error) {
		if err == nil {
			t.Error("no error")
		}
	})
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	h2.Close()
	h2.Close()
	h2.Stats()
}

// TestStatsBeforeStart checks that somebody may look at the figures before a Hub uses the Broker.
func TestStatsBeforeStart(t *testing.T) {
	if s := new(Broker).Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
}
