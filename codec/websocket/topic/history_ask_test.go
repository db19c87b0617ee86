package topic

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// muteBroker never answers History.
type muteBroker struct{ *faultyBroker }

func (muteBroker) History(string, Position, int, func([]Message, bool, error)) {}

// TestBrokerThatNeverAnswers: a subscriber that waits for its history has a gap after a while, and
// then what came meanwhile, instead of nothing more.
func TestBrokerThatNeverAnswers(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	options := func(string) Options { return Options{History: 10} }
	h := Hub{Broker: muteBroker{newFaultyBroker()}, clock: w, Options: options}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	sc := SubscribeConfig{Recover: true, After: Position{Epoch: 1, Seq: 1}}
	if err := s.subscribe(s.join(&stillPeer{}, nil), "t", &sc); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	if s := h.Stats(); s.Gaps != 0 || s.Delivered != 0 {
		t.Errorf("before the time is over: %+v", s)
	}
	w.advance(historyWait)
	l.runAll()
	if s := h.Stats(); s.Gaps != 1 || s.Delivered != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// TestAnsweredHistoryLeavesNothingBehind shows that a connection which recovers a topic again and
// again does not fill the memory: an answered History has no appointment that waits for its answer,
// with all that belongs to the subscriber.
func TestAnsweredHistoryLeavesNothingBehind(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	h := Hub{clock: w, Options: func(string) Options { return Options{History: 10} }}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	anchor, m := s.join(&stillPeer{}, nil), s.join(&stillPeer{}, nil)
	if err := s.subscribe(anchor, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	for range 1000 {
		w.advance(time.Millisecond)
		if err := s.subscribe(m, "t", &SubscribeConfig{Recover: true}); err != nil {
			t.Fatal(err)
		}
		l.runAll()
		s.remove(m, 0)
	}
	if n := h.Stats().Recovered; n != 1000 {
		t.Errorf("%d messages were recovered, want 1,000", n)
	}
	if n := h.agenda.all.len(); n > 1 {
		t.Errorf("%d appointments are left, want one for all", n)
	}
	w.advance(historyWait)
	if n := h.agenda.all.len(); n > 0 {
		t.Errorf("%d appointments are left afterwards", n)
	}
}

// slowBroker answers History with messages of its own, when it is told to.
type slowBroker struct {
	*faultyBroker
	messages, size int
	waiting        []func()
}

func (b *slowBroker) History(_ string, _ Position, _ int, done func([]Message, bool, error)) {
	b.waiting = append(b.waiting, func() {
		msgs := make([]Message, b.messages)
		for i := range msgs {
			msgs[i] = Message{Position: Position{1, uint64(i + 1)}, Prev: uint64(i), Op: websocket.Text,
				Data: make([]byte, b.size)}
		}
		done(msgs, true, nil)
	})
}

func (b *slowBroker) answerAll() {
	all := b.waiting
	b.waiting = nil
	for _, answer := range all {
		answer()
	}
}

// TestAnswersOfABrokerCount: a Broker makes the messages of each answer anew. Those that wait for a
// loop were counted without their data: it was 200 MiB of 32 answers, for each loop.
func TestAnswersOfABrokerCount(t *testing.T) {
	for _, test := range []struct {
		name           string
		messages, size int
		most           int // answers that wait at a time
	}{{"large", 100, 60 << 10, 9}, {"small", 10, 10, asksMax}} {
		t.Run(test.name, func(t *testing.T) {
			b := &slowBroker{faultyBroker: newFaultyBroker(), messages: test.messages, size: test.size}
			h := Hub{Broker: b, Options: func(string) Options { return Options{History: 100} }}
			h.start()
			t.Cleanup(h.Close)
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			const members = 100
			for range members {
				sc := SubscribeConfig{Recover: true, After: Position{Epoch: 2, Seq: 1}}
				if err := s.subscribe(s.join(&stillPeer{}, nil), "t", &sc); err != nil {
					t.Fatal(err)
				}
			}
			asked, most := 0, 0
			for l.runAll(); len(b.waiting) > 0; l.runAll() {
				asked += len(b.waiting)
				most = max(most, len(b.waiting))
				b.answerAll()
			}
			if asked != members || most > test.most {
				t.Errorf("%d are asked, %d at a time, want %d and at most %d", asked, most, members, test.most)
			}
			if n := h.Stats().Pending; n != 0 {
				t.Errorf("%d bytes are counted when nothing waits", n)
			}
		})
	}
}
