package nats

import (
	"fmt"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// TestGivingUpDoesNotHoldLoops: while NATS is down, what waits for 65,000 topics was looked at each
// second, and given up, in one go: Publish, on a loop, waited for 50 ms.
func TestGivingUpDoesNotHoldLoops(t *testing.T) {
	b := &Broker{URL: "nats://127.0.0.1:1"}
	startBroker(t, b, newRecorder(b))
	const topics = 8 * giveUpMax
	for i := range topics {
		publish(t, b, fmt.Sprint("room", i), "x")
	}
	calls, published := 0, make(chan int, 1)
	gone := b.queue.giveUp(func(*outbox) bool {
		if calls++; calls == 1 {
			go func() {
				b.Publish("room", wsproto.Text, nil)
				b.queue.mu.Lock()
				defer b.queue.mu.Unlock()
				published <- calls
			}()
		}
		if calls%giveUpMax == 1 {
			time.Sleep(5 * time.Millisecond) // then who waits for the lock is next
		}
		return true
	})
	if n := <-published; n >= topics {
		t.Errorf("Publish waited for all %d", n)
	}
	if n, _ := b.queue.pending(); len(gone) != topics || n != 1 {
		t.Errorf("%d were given up, and %d are left", len(gone), n)
	}
}
