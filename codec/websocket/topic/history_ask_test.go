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
