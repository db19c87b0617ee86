package topic

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestHistoriesOfManyTopicsAreBounded: names that clients make up do not make the Hub keep more
// than MaxHistoryBytes, whoever comes back to a topic that keeps less knows, and all is given back.
func TestHistoriesOfManyTopicsAreBounded(t *testing.T) {
	const limit = 100 << 10
	clock := &world{}
	l := newLocal(clock, 1<<20, limit)
	l.Start(nil, func(string) Options { return Options{History: 10}.withDefaults() })
	name := func(i int) string { return fmt.Sprint("made up ", i) }
	for i := range 1000 {
		for range 3 {
			if err := l.Publish(name(i), websocket.Text, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.bytes.Load(); n > limit {
			t.Fatalf("%d bytes are kept, over the limit of %d", n, limit)
		}
	}
	for _, c := range []struct {
		topic    string
		complete bool
	}{{name(0), true}, {name(999), false}} {
		topic, _ := l.lock(c.topic, nil)
		after := Position{topic.last.Epoch, 1}
		topic.mu.Unlock()
		l.History(c.topic, after, 10, func(msgs []Message, complete bool, err error) {
			if complete != c.complete || err != nil {
				t.Errorf("%s: %d messages, complete %v, %v", c.topic, len(msgs), complete, err)
			}
		})
	}
	clock.advance(2 * defaultHistoryAge)
	if n, topics := l.bytes.Load(), l.len(); n != 0 || topics != 0 {
		t.Errorf("%d bytes and %d topics are left", n, topics)
	}
}

// TestTopicWithoutRoomForItsHistoryDoesNotPileUp: clients that subscribe to a topic, publish and
// leave, while other histories take all of MaxHistoryBytes, left 300 bytes for HistoryAge each
// time.
func TestTopicWithoutRoomForItsHistoryDoesNotPileUp(t *testing.T) {
	clock := &world{}
	l := newLocal(clock, 100, 1<<10)
	l.Start(new(ear), func(string) Options { return Options{History: 10}.withDefaults() })
	say := func(name string) {
		if err := l.Publish(name, websocket.Text, make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
	}
	say("full")
	for range 1000 {
		if err := l.Subscribe("room"); err != nil {
			t.Fatal(err)
		}
		say("room")
		l.Unsubscribe("room")
	}
	if n := l.agenda.all.len(); n > 2 {
		t.Errorf("%d appointments for 2 topics", n)
	}
	clock.advance(2 * defaultHistoryAge)
	if n, topics := l.agenda.all.len(), l.len(); n != 0 || topics != 0 {
		t.Errorf("%d appointments and %d topics are left", n, topics)
	}
}
