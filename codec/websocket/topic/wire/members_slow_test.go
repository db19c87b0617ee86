package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// crowdedPresence is a Broker in which a thousand members are present at each topic.
type crowdedPresence struct {
	slowPresence
	list []topic.Member
}

func (b *crowdedPresence) Members(_ string, done func([]topic.Member, error)) { done(b.list, nil) }

// TestListsOfMembersWaitForASlowPeer: the lists of all topics of a connection were written as fast
// as they could be made. A client of many large topics that did not read as fast exceeded
// MaxOutbound, and so it did again whenever it came back.
func TestListsOfMembersWaitForASlowPeer(t *testing.T) {
	const topics = 128
	broker := &crowdedPresence{}
	for i := range 1000 {
		broker.list = append(broker.list, topic.Member{
			ID: fmt.Sprint("member", i), Info: bytes.Repeat([]byte("x"), 300)})
	}
	e := &wire.Endpoint{Hub: &topic.Hub{Broker: broker,
		Options: func(string) topic.Options { return topic.Options{Presence: true} }}}
	conns := make(chan *websocket.Conn, 1)
	p := wstest.Dial(t, wstest.Serve(t, &websocket.Server{Subprotocols: e.Subprotocols(), Message: e.Message,
		Open: func(c *websocket.Conn) { conns <- c }}), &wstest.Offer{Subprotocols: []string{wire.SubprotocolBinary}})
	for i := range topics {
		name := fmt.Sprint("room", i)
		p.Send(wsproto.Binary, "\x01"+string(rune(len(name)))+name)
	}
	c := <-conns
	ask := func(f func(c *websocket.Conn) int) int {
		t.Helper()
		answer := make(chan int, 1)
		if err := c.Handle().Post(func(c *websocket.Conn) { answer <- f(c) }); err != nil {
			t.Fatalf("the connection is closed: %v", err)
		}
		return <-answer
	}
	waitFor(t, func() bool {
		return ask(func(c *websocket.Conn) int { return int(c.Pressure()) }) == int(engine.OverHighWater)
	})
	for range 4 * topics { // turns of the loop
		if n := ask(func(c *websocket.Conn) int { return c.EngineConn().Outbound() }); n > 1<<20 {
			t.Fatalf("%d bytes wait for a peer that reads nothing", n)
		}
	}
	lists := 0
	for range 2 * topics {
		if _, m := p.Message(); m[0] == 0x84 {
			lists++
		}
	}
	if lists != topics {
		t.Errorf("%d lists, want %d", lists, topics)
	}
}
