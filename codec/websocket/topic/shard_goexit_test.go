package topic

import (
	"runtime"
	"testing"
)

// exitingLeave is a Broker that ends the goroutine.
type exitingLeave struct {
	*faultyBroker
	left []string
}

func (b *exitingLeave) Leave(name, _ string) {
	b.left = append(b.left, name)
	runtime.Goexit()
}

// TestGoexitInLeave: a member leaves all its topics, also if the Broker calls runtime.Goexit. Those
// behind the first one were never left, and the shard stayed.
func TestGoexitInLeave(t *testing.T) {
	b := &exitingLeave{newFaultyBroker(), nil}
	h := Hub{Broker: b, Options: func(string) Options { return Options{Presence: true} }}
	h.start()
	t.Cleanup(h.Close)
	s := h.shard(shardKey{}, &simLoop{})
	m := s.join(&stillPeer{}, nil)
	for _, name := range []string{"a", "b", "c"} {
		if err := s.subscribe(m, name, &SubscribeConfig{Member: &Member{ID: "me"}}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.leave()
	}()
	<-ended
	if len(b.left) != 3 || len(s.names) != 0 || s.members != 0 {
		t.Errorf("left %q, %d entries and %d members are left", b.left, len(s.names), s.members)
	}
	if n := h.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}
