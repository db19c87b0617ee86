package topic_test

import (
	"context"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestSubscribingCountsForTheTurn: a client subscribed to topics and left them a thousand times in
// its share of one turn. That took 1 to 4 ms, and sixteen such clients held the loop for 27 ms.
func TestSubscribingCountsForTheTurn(t *testing.T) {
	const times = 1000
	hub := new(topic.Hub)
	t.Cleanup(hub.Close)
	s := &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, b []byte) {
		switch string(b) {
		case "+":
			if err := hub.Subscribe(c, "room"); err != nil {
				t.Error(err)
			}
		case "-":
			hub.Unsubscribe(c, "room")
		default:
			c.Send(op, b)
		}
	}}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(context.Background())
	p := wstest.Dial(t, "ws://"+ln.String(), nil)
	before, err := eng.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for range times {
		b = append(b, "\x81\x81\x00\x00\x00\x00+\x81\x81\x00\x00\x00\x00-"...)
	}
	if _, err := p.Underlying().Write(b); err != nil {
		t.Fatal(err)
	}
	p.Send(wsproto.Text, "end")
	p.Expect(wsproto.Text, "end")
	after, err := eng.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := after.Turns - before.Turns; n < 2*times/100 {
		t.Errorf("%d requests in %d turns", 2*times, n)
	}
}
