package nats

import (
	"sync"
	"testing"
)

// TestSettleEndsWithTheEpoch: while topics were to begin, a message or a publish showed that the
// stream is another one. The keeper asked for their positions again and again, for ever, and did
// nothing else any more, so that the node was without topics.
func TestSettleEndsWithTheEpoch(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL()}
	r := newRecorder(b)
	tell, once := r.tell, new(sync.Once)
	r.tell = func(e event) {
		tell(e)
		once.Do(func() { b.synced.Store(0) }) // as received and sameEpoch do at any time
	}
	startBroker(t, b, r)
	const topics = 50
	for i := range topics {
		if err := b.Subscribe(topicName(i)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all topics begin", func() bool {
		for i := range topics {
			if !r.begun(topicName(i)) {
				return false
			}
		}
		return true
	})
}
