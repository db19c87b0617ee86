package topic

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// hearingPeer remembers what it was told, as simFormat says it.
type hearingPeer struct {
	stillPeer
	kinds []byte
}

func (p *hearingPeer) Send(_ websocket.Opcode, b []byte) (engine.Pressure, error) {
	p.kinds = append(p.kinds, b[0])
	return engine.Sent, nil
}

func (p *hearingPeer) SendPrepared(m *websocket.Prepared, _ engine.SlowPolicy) error {
	_, b := m.Message()
	p.kinds = append(p.kinds, b[0])
	return nil
}

// TestWhoComesBeforeTheTopicHasBegunIsNotLost shows that subscribers notice a member that joins
// while the topic's subscription begins, which takes as long as the history does with Last.
func TestWhoComesBeforeTheTopicHasBegunIsNotLost(t *testing.T) {
	var later []func()
	h := &Hub{Options: func(string) Options { return Options{Presence: true, Last: true} },
		Format: simFormat{}, async: func(f func()) { later = append(later, f) }}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	first := &hearingPeer{}
	for i, p := range []*hearingPeer{first, {}} {
		who := Member{ID: fmt.Sprint("member", i)}
		if err := s.subscribe(s.join(p, h.Format), "t0", &SubscribeConfig{Member: &who}); err != nil {
			t.Fatal(err)
		}
	}
	for len(later) > 0 {
		f := later[0]
		later = later[1:]
		f()
	}
	l.turn()
	if got := string(first.kinds); got != "spp" {
		t.Errorf("the first subscriber was told %q, want the position, and two that join", got)
	}
}
