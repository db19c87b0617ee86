package topic_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestNobodyStaysWhenTheEngineEnds: members with many topics leave in parts. When the engine has
// ended, in order or not, none is left in a Hub that goes on with other engines.
func TestNobodyStaysWhenTheEngineEnds(t *testing.T) {
	for _, inOrder := range []bool{true, false} {
		hub := &topic.Hub{Options: func(string) topic.Options { return topic.Options{Presence: true} }}
		s := &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, b []byte) {
			for i := range 100 {
				sc := topic.SubscribeConfig{Member: &topic.Member{ID: "x"}}
				if err := sc.Subscribe(hub, c, fmt.Sprint(string(b), i)); err != nil {
					t.Error(err)
				}
			}
			c.Send(op, b)
		}}
		eng, err := engine.New(engine.Config{Loops: 2})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer close(ended)
			eng.Run(ctx)
		}()
		for i := range 20 {
			p := wstest.Dial(t, "ws://"+ln.String(), nil)
			p.Send(wsproto.Text, fmt.Sprint(i, " "))
			p.Message()
		}
		if inOrder {
			cancel()
		} else {
			eng.Close()
		}
		<-ended
		if n := hub.Stats().Subscriptions; n != 0 {
			t.Errorf("in order %v: %d subscriptions are left", inOrder, n)
		}
		hub.Members("0 0", func(all []topic.Member, err error) {
			if len(all) > 0 || err != nil {
				t.Errorf("in order %v: %v are present, %v", inOrder, all, err)
			}
		})
		hub.Close()
	}
}
