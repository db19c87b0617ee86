package topic

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// waitingFormat waits for a lock of the program's in Message.
type waitingFormat struct {
	plainFormat
	waits, lock chan bool
}

func (f waitingFormat) Message(dst []byte, _ string, m *Message) []byte {
	select {
	case f.waits <- true:
	default:
	}
	<-f.lock
	return append(dst, m.Data...)
}

// TestPublishDoesNotWaitForFormats: who holds a lock that a Format needs may publish. Publish
// waited for the Format, which made the message before, and neither went on.
func TestPublishDoesNotWaitForFormats(t *testing.T) {
	for name, o := range map[string]Options{
		"Conflate": {Conflate: true}, "Last": {Last: true}, "History": {History: 1},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &world{now: time.Unix(1e9, 0)}
			h := &Hub{clock: clock, async: func(f func()) { clock.tasks = append(clock.tasks, f) },
				Options: func(string) Options { return o }}
			if err := h.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(h.Close)
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			f := waitingFormat{waits: make(chan bool, 1), lock: make(chan bool)}
			if err := s.subscribe(s.join(&stillPeer{}, f), "a", &SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			clock.runAll()
			if err := h.Publish("a", websocket.Text, []byte("1")); err != nil {
				t.Fatal(err)
			}
			queue := l.queue
			l.queue = nil
			ran, published := make(chan bool), make(chan error, 1)
			go func() {
				defer close(ran)
				for _, f := range queue {
					f()
				}
			}()
			<-f.waits
			go func() { published <- h.Publish("a", websocket.Text, []byte("2")) }()
			select {
			case err := <-published:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Error("Publish waits for the Format")
			}
			close(f.lock)
			<-ran
		})
	}
}
