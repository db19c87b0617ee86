package topic

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// plainFormat is a Format of many that send the same.
type plainFormat int

func (plainFormat) Opcode() websocket.Opcode                          { return websocket.Text }
func (plainFormat) Message(dst []byte, _ string, m *Message) []byte   { return append(dst, m.Data...) }
func (plainFormat) Subscribed([]byte, string, Position) []byte        { return nil }
func (plainFormat) Gap([]byte, string, Gap) []byte                    { return nil }
func (plainFormat) Present([]byte, string, []Member, []Member) []byte { return nil }

// TestFormsOfNewestMessagesAreBounded: a topic keeps its newest message for those who come, or are
// slow. What was made of it for each Format and each size of window was kept as well, for as many
// topics as there were, and no limit counted it unless a history had the message.
func TestFormsOfNewestMessagesAreBounded(t *testing.T) {
	const topics, formats, size, limit = 100, 4, 16 << 10, 1 << 20
	for _, test := range []struct {
		name    string
		options Options
		broker  func() Broker
	}{
		{"Last", Options{Last: true}, func() Broker { return nil }},
		{"Conflate", Options{Conflate: true}, func() Broker { return nil }},
		{"both", Options{Last: true, Conflate: true, History: 10}, func() Broker { return nil }},
		{"with a Broker", Options{Conflate: true}, func() Broker { return newFaultyBroker() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &world{}
			h := &Hub{MaxHistoryBytes: limit, Broker: test.broker(), clock: clock,
				async:   func(f func()) { clock.tasks = append(clock.tasks, f) },
				Options: func(string) Options { return test.options }}
			if err := h.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(h.Close)
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			var all []*member
			for i := range formats {
				all = append(all, s.join(&stillPeer{}, plainFormat(i)))
			}
			h.limits.perConn = topics
			before := heapBytes()
			for i := range topics {
				name := fmt.Sprint(i)
				for _, m := range all {
					if err := s.subscribe(m, name, &SubscribeConfig{}); err != nil {
						t.Fatal(err)
					}
				}
				clock.runAll()
				for range 3 {
					if err := h.Publish(name, websocket.Text, make([]byte, size)); err != nil {
						t.Fatal(err)
					}
					l.runAll()
				}
			}
			if n, most := heapBytes()-before, int64(topics*size+2*limit); n > most {
				t.Errorf("%d KiB are in use, want at most %d", n>>10, most>>10)
			}
			if n := h.forms.bytes.Load(); n > limit/2 || n == 0 {
				t.Errorf("%d KiB are counted, of at most %d", n>>10, limit/2>>10)
			}
			for _, m := range all {
				m.leave()
			}
			l.runAll()
			clock.advance(lingerTime)
			clock.advance(2 * defaultHistoryAge)
			if n := h.forms.bytes.Load(); n != 0 && test.name != "with a Broker" {
				t.Errorf("%d bytes are counted in the end", n)
			}
			runtime.KeepAlive(s)
		})
	}
}

// TestNewestMessageKeepsNoOthers: the newest message may come from the history, with others in one
// piece of memory. It kept all of them, for as long as no other one came.
func TestNewestMessageKeepsNoOthers(t *testing.T) {
	const topics, messages, size = 20, 100, 4 << 10
	clock := &world{now: time.Unix(1e9, 0)}
	h := &Hub{MaxPending: 64 << 10, clock: clock, async: func(f func()) { clock.tasks = append(clock.tasks, f) },
		Options: func(string) Options { return Options{Last: true, History: messages, HistoryAge: time.Minute} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	before := heapBytes()
	for i := range topics {
		name := fmt.Sprint(i)
		if err := s.subscribe(m, name, &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		l.runAll()
		clock.runAll()
		l.runAll()
		for range messages { // the loop misses most of them
			h.Publish(name, websocket.Text, make([]byte, size))
		}
		l.runAll()
	}
	if n := h.Stats().Recovered; n < topics*messages/2 {
		t.Fatalf("%d messages come from histories", n)
	}
	clock.advance(2 * time.Minute)
	if n := h.Stats().History; n > topics*3*size {
		t.Errorf("histories have %d KiB", n>>10)
	}
	if n, most := (heapBytes()-before)>>10, int64(topics*messages*size/8>>10); n > most {
		t.Errorf("%d KiB are in use, want at most %d", n, most)
	}
	runtime.KeepAlive(s)
}

// TestTopicThatIsGoneKeepsNothing: a Broker may have found a topic that is removed before it has
// done what it tells. The message that followed counted for ever.
func TestTopicThatIsGoneKeepsNothing(t *testing.T) {
	clock := &world{now: time.Unix(1e9, 0)}
	h := &Hub{clock: clock, async: func(f func()) { clock.tasks = append(clock.tasks, f) },
		Options: func(string) Options { return Options{Last: true} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	subscribe := func() *member {
		m := s.join(&stillPeer{}, plainFormat(1))
		if err := s.subscribe(m, "a", &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		clock.runAll()
		l.runAll()
		return m
	}
	m := subscribe()
	gone := h.find("a")
	m.leave()
	clock.advance(lingerTime)
	if !gone.gone {
		t.Fatal("the topic is still there")
	}
	if err := h.Publish("a", websocket.Text, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	gone.mu.Lock()
	gone.lost()
	gone.mu.Unlock()
	clock.runAll()
	m = subscribe()
	if n := h.forms.bytes.Load(); n == 0 {
		t.Error("nothing is counted")
	}
	m.leave()
	clock.advance(lingerTime)
	clock.advance(2 * defaultHistoryAge)
	if n := h.forms.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are counted in the end", n)
	}
}

// runAll does what waits in tasks.
func (w *world) runAll() {
	for len(w.tasks) > 0 {
		f := w.tasks[0]
		w.tasks = w.tasks[1:]
		f()
	}
}
