package topic

import (
	"fmt"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// newsPeer counts what it is told of members.
type newsPeer struct {
	stillPeer
	told int
}

func (p *newsPeer) SendPrepared(m *websocket.Prepared, _ engine.SlowPolicy) error {
	if _, data := m.Message(); data[0] == simPresent {
		p.told++
	}
	return nil
}

// TestManyWhoComeAtOnceAreToldTogether: members that come and go within an interval cost one
// message per subscriber, not one each.
func TestManyWhoComeAtOnceAreToldTogether(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	h := Hub{Format: simFormat{}, clock: w, Options: func(string) Options {
		return Options{Presence: true, PresenceInterval: time.Second}
	}}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	p := &newsPeer{}
	if err := s.subscribe(s.join(p, simFormat{}), "t0", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	for i := range 1000 {
		m := Member{ID: fmt.Sprint(i)}
		h.presence.Join("t0", m)
		if i%2 == 0 {
			h.presence.Leave("t0", m.ID)
		}
	}
	l.runAll()
	if p.told != 1 {
		t.Errorf("%d messages at once, want that of the first", p.told)
	}
	w.advance(time.Second)
	l.runAll()
	if p.told != 2 {
		t.Errorf("%d messages after the interval, want 2", p.told)
	}
	w.advance(time.Second)
	h.presence.Join("t0", Member{ID: "late"})
	l.runAll()
	if p.told != 3 {
		t.Errorf("%d messages, want 3: nothing has to wait after a silence", p.told)
	}
}
