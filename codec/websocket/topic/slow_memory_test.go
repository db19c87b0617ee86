package topic_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestSlowSubscriptionsCountForTheBudget: a subscriber that does not read holds the places of the
// newest messages of each of its topics, which is more than its queue if the topics are many. It
// counted for ever if it had many topics, which it leaves later, when its peer was gone at once.
func TestSlowSubscriptionsCountForTheBudget(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(p *wstest.Peer)
	}{
		{"closes", func(p *wstest.Peer) { p.Close(wsproto.NormalClosure, "") }},
		{"is gone", func(*wstest.Peer) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			testSlowSubscriptions(t, test.end)
		})
	}
}

func testSlowSubscriptions(t *testing.T, end func(p *wstest.Peer)) {
	const topics, messages = 128, 300
	hub := &topic.Hub{Options: func(string) topic.Options {
		return topic.Options{Slow: engine.SlowDropOldest}
	}}
	engines := make(chan *engine.Engine, 1)
	url := wstest.Serve(t, &websocket.Server{Open: func(c *websocket.Conn) {
		for i := range topics {
			if err := hub.Subscribe(c, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
		engines <- c.EngineConn().Engine()
	}})
	p := wstest.Dial(t, url, nil)
	e := <-engines
	publish := func(name string, data []byte) {
		t.Helper()
		if err := hub.Publish(name, websocket.Text, data); err != nil {
			t.Fatal(err)
		}
	}
	held := func() int {
		s, err := e.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.Held
	}
	// until the peer is slow
	for end := time.Now().Add(30 * time.Second); hub.Stats().Dropped == 0; {
		publish("0", make([]byte, 32<<10))
		if time.Now().After(end) {
			t.Fatal("the peer is never slow")
		}
	}
	for i := range topics {
		for range messages {
			publish(fmt.Sprint(i), []byte("x"))
		}
	}
	const want = topics * 256 * 4 // pointers of a 32-bit system
	for end := time.Now().Add(30 * time.Second); held() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are counted, want at least %d", held(), want)
		}
	}
	end(p)
	p.CloseNow()
	for end := time.Now().Add(30 * time.Second); held() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are counted when the connection is closed", held())
		}
	}
}
