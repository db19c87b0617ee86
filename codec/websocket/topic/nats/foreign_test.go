package nats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// TestHistoryPassesOverForeignMessages shows that a message in the stream which no Broker has made
// does not take the topic's history away: it is passed over.
func TestHistoryPassesOverForeignMessages(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL()}
	startBroker(t, b, newRecorder(b))
	ready(t, b)
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := b.Publish("room", wsproto.Text, []byte("one")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is stored", func() bool { return b.stats.stored.Load() == 1 })
	if _, err := conn.Request("myriad.in.room", []byte{0xff, 0xff}, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{10, 1} {
		answer := make(chan error, 1)
		b.History("room", topic.Position{}, limit, func(msgs []topic.Message, _ bool, err error) {
			if limit > 1 && (len(msgs) != 1 || string(msgs[0].Data) != "one") {
				t.Errorf("history %+v", msgs)
			}
			answer <- err
		})
		select {
		case err := <-answer:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("limit %d: no answer", limit)
		}
	}
}
