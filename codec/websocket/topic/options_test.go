package topic

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestInterval: of the messages within an Interval only the newest one is sent, when it is over.
func TestInterval(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	h := Hub{clock: w, async: func(f func()) { f() }, Options: func(string) Options {
		return Options{Interval: time.Second}
	}}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	if err := s.subscribe(s.join(&stillPeer{}, nil), "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	delivered := func() int64 {
		for len(l.queue) > 0 {
			f := l.queue[0]
			l.queue = l.queue[1:]
			f()
		}
		return h.Stats().Delivered
	}
	publish := func() { h.Publish("t", websocket.Text, nil) }
	for i, step := range []struct {
		do   func()
		want int64
	}{
		{publish, 1},
		{publish, 1},
		{publish, 1},
		{func() { w.advance(999 * time.Millisecond) }, 1},
		{func() { w.advance(time.Millisecond) }, 2},
		{publish, 2},
		{func() { w.advance(time.Second) }, 3},
		{func() { w.advance(time.Hour) }, 3},
		{publish, 4},
	} {
		if step.do(); delivered() != step.want {
			t.Errorf("step %d: %d delivered, want %d", i, delivered(), step.want)
		}
	}
	if n := h.Stats().Conflated; n != 1 {
		t.Errorf("%d conflated, want 1", n)
	}
}

// TestExpiry: a history ends HistoryAge after its newest message, and so does the topic.
func TestExpiry(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	h := Hub{clock: w, Options: func(string) Options { return Options{History: 2, HistoryAge: time.Minute} }}
	h.Publish("t", websocket.Text, nil)
	w.advance(59 * time.Second)
	h.Publish("t", websocket.Text, nil)
	w.advance(59 * time.Second)
	kept := func() (n int) {
		h.broker.History("t", Position{}, 10, func(msgs []Message, _ bool, _ error) { n = len(msgs) })
		return n
	}
	if n := kept(); n != 1 || h.Stats().Topics != 1 {
		t.Errorf("%d messages are kept, want 1", n)
	}
	w.advance(time.Second)
	if h.Stats().Topics != 0 || h.broker.(*local).agenda.all.len() != 0 {
		t.Errorf("%+v", h.Stats())
	}
}
