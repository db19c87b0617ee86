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
	if n := len(h.agenda.all); n > 1 {
		t.Errorf("%d appointments are left, want one for all", n)
	}
	w.advance(historyWait)
	if n := len(h.agenda.all); n > 0 {
		t.Errorf("%d appointments are left afterwards", n)
	}
}
