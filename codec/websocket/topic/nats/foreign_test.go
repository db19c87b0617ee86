package nats

import (
	"fmt"
	"slices"
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

// TestForeignIdentifiers checks that messages of other publishers are not taken for repeats because
// their identifiers look like those of packs: in one by nats.NewInbox, 38 of 100 were.
func TestForeignIdentifiers(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL()}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	var want []string
	for i, end := range []string{"Zy", "Zz", "a0", "A1", "09"} {
		text := fmt.Sprint(i)
		storePack(t, b, "room", "hV2kQx8RzTn4Lm6P0000"+end, text)
		want = append(want, text)
	}
	storePack(t, b, "room", "", "last")
	until(t, "the last one comes", func() bool { return slices.Contains(r.took("room"), "last") })
	if took := r.took("room"); !slices.Equal(took, append(want, "last")) {
		t.Errorf("it gets %q", took)
	}
}
