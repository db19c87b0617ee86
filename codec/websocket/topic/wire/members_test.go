package wire_test

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// slowPresence is a Broker that gives lists of members when the test says so.
type slowPresence struct {
	sink  topic.Sink
	asked chan func([]topic.Member, error)
}

func (b *slowPresence) Start(s topic.Sink, _ func(string) topic.Options) error {
	b.sink = s
	return nil
}

func (b *slowPresence) Subscribe(name string) error {
	b.sink.Subscribed(name, topic.Position{Epoch: 1})
	return nil
}

func (*slowPresence) Publish(string, websocket.Opcode, []byte) error { return nil }
func (*slowPresence) Unsubscribe(string)                             {}
func (*slowPresence) Join(string, topic.Member) error                { return nil }
func (*slowPresence) Leave(string, string)                           {}

func (*slowPresence) History(_ string, _ topic.Position, _ int, done func([]topic.Message, bool, error)) {
	done(nil, true, nil)
}

func (b *slowPresence) Members(_ string, done func([]topic.Member, error)) { b.asked <- done }

// TestListsOfMembersComeOneAtATime shows that a connection which subscribes to a topic with
// Presence and leaves it, again and again, does not make the server make a list for each time.
func TestListsOfMembersComeOneAtATime(t *testing.T) {
	broker := &slowPresence{asked: make(chan func([]topic.Member, error), 1000)}
	hub := &topic.Hub{Broker: broker, Options: func(string) topic.Options { return topic.Options{Presence: true} }}
	p := wstest.Dial(t, serve(t, &wire.Endpoint{Hub: hub}), &wstest.Offer{Subprotocols: []string{wire.SubprotocolJSON}})
	ping := func() {
		t.Helper()
		p.Send(wsproto.Text, `{"type":"ping"}`)
		for {
			if _, got := p.Message(); got == `{"type":"pong"}` {
				return
			}
		}
	}
	subscribe := func() { p.Send(wsproto.Text, `{"type":"subscribe","topic":"room"}`) }
	for range 100 {
		subscribe()
		p.Send(wsproto.Text, `{"type":"unsubscribe","topic":"room"}`)
	}
	subscribe()
	ping()
	if n := len(broker.asked); n != 1 {
		t.Fatalf("%d lists are asked for, want 1", n)
	}
	for _, id := range []string{"old", "new"} {
		done := <-broker.asked
		done([]topic.Member{{ID: id}}, nil)
		p.Expect(wsproto.Text, `{"type":"members","topic":"room","members":[{"id":"`+id+`"}]}`)
	}
	ping()
	if n := len(broker.asked); n != 0 {
		t.Errorf("%d more lists are asked for", n)
	}
}
