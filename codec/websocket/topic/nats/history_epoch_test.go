package nats

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestHistoryOfEpochBefore checks that a history is not handed on that was read in an epoch before:
// the Sink may have messages of the later one, and would wait for the earlier to go on.
func TestHistoryOfEpochBefore(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL()}
	startBroker(t, b, newRecorder(b))
	ready(t, b)
	answered := 0
	r := historyRequest{topic: "room", done: func([]topic.Message, bool, error) { answered++ }}
	now := b.epoch.Load()
	if b.handOn(&r, "room", now+1, nil, true) || answered != 0 {
		t.Error("a history of another epoch was handed on")
	}
	if !b.handOn(&r, "room", now, nil, true) || answered != 1 {
		t.Error("the history was not handed on")
	}
	shard := b.topics.shard(b.subject("out", "room"))
	shard.mu.Lock() // as when messages are delivered
	done := make(chan bool)
	go func() { done <- b.handOn(&r, "room", now, nil, true) }()
	b.epoch.Store(now + 1)
	shard.mu.Unlock()
	if <-done {
		t.Error("a history was handed on while a later epoch came")
	}
	b.epoch.Store(now)
}
