package topic

import (
	"errors"
	"fmt"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestAbandonedRecoveriesDoNotPileUp shows that a connection which subscribes with Recover and
// unsubscribes, again and again before the loop has its turn, does not make answers of the history
// wait without bound.
func TestAbandonedRecoveriesDoNotPileUp(t *testing.T) {
	h := &Hub{Options: func(string) Options { return Options{History: 100} }}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	for range 100 {
		h.Publish("room", websocket.Text, []byte("hello"))
	}
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	anchor, m := s.join(&stillPeer{}, nil), s.join(&stillPeer{}, nil)
	if err := s.subscribe(anchor, "room", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.turn()
	busy := 0
	for range 10_000 {
		switch err := s.subscribe(m, "room", &SubscribeConfig{Recover: true}); {
		case err == nil:
			s.remove(m, 0)
		case errors.Is(err, engine.ErrBusy):
			busy++
		default:
			t.Fatal(err)
		}
	}
	held := 0
	for _, it := range s.inbox.items {
		held += len(it.more.msgs)
	}
	if most := h.limits.perConn * 100; held > most {
		t.Errorf("%d messages wait for a connection that has left, want at most %d", held, most)
	}
	if got, want := h.Stats().Pending, int64(held)*int64(unsafe.Sizeof(Message{})); got < want {
		t.Errorf("Stats count %d bytes, want at least %d", got, want)
	}
	if busy == 0 {
		t.Error("the connection was never told that it is too fast")
	}
	l.turn()
	if err := s.subscribe(m, "room", &SubscribeConfig{Recover: true}); err != nil {
		t.Errorf("after the loop's turn: %v", err)
	}
}

// turn does what is posted.
func (l *simLoop) turn() {
	for len(l.queue) > 0 {
		run := l.queue[0]
		l.queue = l.queue[1:]
		run()
	}
}

// TestAbandonedTopicsLeaveRoomForOthers shows that a connection which subscribes to one topic after
// the other, and leaves each, does not use up MaxTopics.
func TestAbandonedTopicsLeaveRoomForOthers(t *testing.T) {
	h := &Hub{MaxTopics: 100}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m, other := s.join(&stillPeer{}, nil), s.join(&stillPeer{}, nil)
	for i := range 1000 {
		if i%h.limits.perConn == 0 {
			l.turn() // see member.begins
		}
		if err := s.subscribe(m, fmt.Sprint("abandoned", i), &SubscribeConfig{}); err != nil {
			t.Fatalf("topic %d: %v", i, err)
		}
		s.remove(m, 0)
	}
	for i := range 50 {
		if err := s.subscribe(other, fmt.Sprint("room", i), &SubscribeConfig{}); err != nil {
			t.Fatalf("topic %d of another connection: %v", i, err)
		}
	}
	if n := h.Stats().Topics; n > 100 {
		t.Errorf("%d topics, want at most 100", n)
	}
}
