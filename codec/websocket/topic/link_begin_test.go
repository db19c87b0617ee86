package topic

import (
	"fmt"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// beginningSink counts the topics that begin. It takes a while over some.
type beginningSink struct {
	ear
	begun  int // with the lock of the heir
	begins func(n int)
}

func (s *beginningSink) Subscribed(string, Position) {
	s.begun++
	s.begins(s.begun)
}

// TestTopicsThatArriveDoNotHoldLoops: while 100,000 topics begin that have come from another
// process, Publish waited for all of them, on a loop: 75 ms. What is unsubscribed from meanwhile is
// not subscribed to afterwards.
func TestTopicsThatArriveDoNotHoldLoops(t *testing.T) {
	const topics = 8 * beginMax
	old, heir, _ := oldEnd(t)
	go func() {
		for {
			if _, _, err := old.receive(); err != nil {
				return
			}
		}
	}()
	for n := range topics {
		heir.Subscribe(fmt.Sprint(n))
		old.send(frameTopic, func(b []byte) []byte {
			return append(appendPosition(saved.AppendBytes(b, fmt.Sprint(n)), Position{7, 1}), 0)
		})
	}
	published := make(chan int, 1)
	s := &beginningSink{}
	s.begins = func(n int) {
		if n == 1 {
			go func() {
				heir.Publish("other", websocket.Text, nil)
				heir.mu.Lock()
				published <- s.begun
				heir.mu.Unlock()
				for n := range topics {
					heir.Unsubscribe(fmt.Sprint(n))
				}
			}()
		}
		if n%beginMax == 1 {
			time.Sleep(5 * time.Millisecond) // then who waits for the lock is next
		}
	}
	heir.sink, heir.local.sink = s, s
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	if n := <-published; n >= topics {
		t.Errorf("Publish waited for all %d", n)
	}
	<-heir.owned
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		left := 0
		for n := range topics {
			if lt, _ := heir.local.lock(fmt.Sprint(n), nil); lt != nil {
				if lt.subscribed {
					left++
				}
				lt.mu.Unlock()
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d topics are subscribed to", left)
		}
	}
}
