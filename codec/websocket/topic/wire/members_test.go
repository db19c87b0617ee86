package wire_test

import (
	"sync/atomic"
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

// promptPresence is a Broker that has lists of members at once, but not before all of a turn's
// input was delivered.
type promptPresence struct {
	slowPresence
	delivered, early atomic.Bool
}

func (b *promptPresence) Members(_ string, done func([]topic.Member, error)) {
	if !b.delivered.Load() {
		b.early.Store(true)
	}
	done([]topic.Member{{ID: "one"}}, nil)
}

// TestListsOfMembersDoNotWaitForTheirTurn shows that a list is made when it is sent. It was made at
// once, and waited for its turn, which counted for no limit: some thousand connections that
// subscribed at the same time made the server hold gigabytes.
func TestListsOfMembersDoNotWaitForTheirTurn(t *testing.T) {
	broker := &promptPresence{}
	hub := &topic.Hub{Broker: broker, Options: func(string) topic.Options { return topic.Options{Presence: true} }}
	e := &wire.Endpoint{Hub: hub, Member: func(c *websocket.Conn, _ string) *topic.Member {
		c.Handle().Post(func(*websocket.Conn) { broker.delivered.Store(true) })
		return nil
	}}
	p := wstest.Dial(t, serve(t, e), &wstest.Offer{Subprotocols: []string{wire.SubprotocolJSON}})
	p.Send(wsproto.Text, `{"type":"subscribe","topic":"room"}`)
	p.Expect(wsproto.Text, `{"type":"subscribed","topic":"room","pos":"1-0"}`)
	p.Expect(wsproto.Text, `{"type":"members","topic":"room","members":[{"id":"one"}]}`)
	if broker.early.Load() {
		t.Error("a list was made while input was delivered")
	}
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
	subscribe()
	done := <-broker.asked
	for range 100 {
		p.Send(wsproto.Text, `{"type":"unsubscribe","topic":"room"}`)
		subscribe()
	}
	ping()
	ping() // all that was posted has run
	if n := len(broker.asked); n != 0 {
		t.Fatalf("%d more lists are asked for, while one is on its way", n)
	}
	for i, id := range []string{"old", "new"} {
		if i > 0 {
			done = <-broker.asked
		}
		done([]topic.Member{{ID: id}}, nil)
		p.Expect(wsproto.Text, `{"type":"members","topic":"room","members":[{"id":"`+id+`"}]}`)
	}
	ping()
	ping()
	if n := len(broker.asked); n != 0 {
		t.Errorf("%d more lists are asked for", n)
	}
}
