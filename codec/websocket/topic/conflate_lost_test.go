package topic

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// newestBroker has one message in its history.
type newestBroker struct {
	*faultyBroker
	newest Message
}

func (b *newestBroker) History(_ string, _ Position, limit int, done func([]Message, bool, error)) {
	if limit < 1 {
		done(nil, false, nil)
		return
	}
	done([]Message{b.newest}, true, nil)
}

// TestNewestThatIsLostComes: a Broker tells that something was lost behind the last message of a
// topic that conflates and keeps no history. Nobody asked for it, and there is no gap: who has the
// old value kept it until the next one came.
func TestNewestThatIsLostComes(t *testing.T) {
	for _, o := range []Options{{Conflate: true}, {Conflate: true, Last: true}, {Interval: time.Second}} {
		w := &world{t: t, now: time.Unix(1e9, 0)}
		b := &newestBroker{faultyBroker: newFaultyBroker()}
		h := &Hub{Broker: b, clock: w, async: func(f func()) { w.tasks = append(w.tasks, f) },
			Options: func(string) Options { return o }}
		if err := h.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		l := &simLoop{}
		s := h.shard(shardKey{}, l)
		p := new(countingPeer)
		if err := s.subscribe(s.join(p, nil), "t", &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		run := func() {
			for len(w.tasks) > 0 {
				f := w.tasks[0]
				w.tasks = w.tasks[1:]
				f()
			}
			l.runAll()
			w.advance(o.Interval)
			l.runAll()
		}
		b.newest = Message{Position: Position{7, 1}, Op: websocket.Text}
		run() // with Last that one is sent at once
		if !o.Last {
			(*sink)(h).Deliver("t", b.newest)
			run()
		}
		b.newest = Message{Position: Position{7, 2}, Prev: 1, Op: websocket.Text}
		(*sink)(h).Lost("t")
		run()
		if p.messages != 2 {
			t.Errorf("%+v: %d messages, want 2", o, p.messages)
		}
		if n := h.Stats().Gaps; n > 0 {
			t.Errorf("%+v: %d gaps", o, n)
		}
	}
}
