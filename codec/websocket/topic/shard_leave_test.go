package topic

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// crowd makes members with many topics of their own each, with who they are, and one of all.
func crowd(t *testing.T, h *Hub, s *shard, members, topics int) (all []*member) {
	t.Helper()
	for i := range members {
		m := s.join(new(countingPeer), nil)
		for j := range topics {
			name, sc := fmt.Sprint(i, " ", j), SubscribeConfig{Member: &Member{ID: "x"}}
			if j == 0 {
				name = "all"
			}
			if err := s.subscribe(m, name, &sc); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, m)
	}
	return all
}

// TestManyThatLeaveDoNotHoldTheLoop: connections with a hundred topics each are closed in one turn
// of the loop. A thousand took 0.3 s, and seconds with presence, in which nobody else had a turn.
func TestManyThatLeaveDoNotHoldTheLoop(t *testing.T) {
	const members, topics = 200, 100
	h := &Hub{Options: func(string) Options { return Options{Presence: true} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	stays := s.join(new(countingPeer), nil)
	if err := s.subscribe(stays, "all", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	all := crowd(t, h, s, members, topics)
	l.runAll()
	left := func() int { return h.Stats().Subscriptions - 1 }
	for _, m := range all {
		m.Closed(nil, engine.ErrReset)
	}
	if n := left(); n != members*topics {
		t.Errorf("%d were left at once", members*topics-n)
	}
	h.Publish("all", websocket.Text, []byte("x"))
	got := stays.shard.slots.all[stays.id].peer.(*countingPeer)
	for turns := 1; len(l.queue) > 0; turns++ {
		before := left()
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
		if n := before - left(); n > leaveTurn+members/(leaveTurn/4) {
			t.Fatalf("%d were left in a turn", n)
		}
		if err := s.check(); err != "" {
			t.Fatal(err)
		}
		if turns == 20 && got.messages == 0 {
			t.Error("a message has to wait until all have left")
		}
	}
	if n := left(); n != 0 || len(s.leaving) > 0 || len(h.local().presence.all) > 0 {
		t.Errorf("%d subscriptions are left, %d members, presence in %d topics",
			n, len(s.leaving), len(h.local().presence.all))
	}
	stays.Closed(nil, nil)
	if len(h.shards.all) > 0 {
		t.Error("the shard is left")
	}
}

// TestLeavingWhenTheLoopEnds: nobody stays present whose connection has closed just before the loop
// ends, or while it does.
func TestLeavingWhenTheLoopEnds(t *testing.T) {
	for turns := range 4 { // that the loop has before it ends
		h := &Hub{Options: func(string) Options { return Options{Presence: true} }}
		if err := h.Start(); err != nil {
			t.Fatal(err)
		}
		l := &simLoop{}
		s := h.shard(shardKey{}, l)
		all := crowd(t, h, s, 4, 100)
		l.runAll()
		all[0].Closed(nil, engine.ErrReset)
		all[1].Closed(nil, engine.ErrReset)
		for range turns {
			f := l.queue[0]
			l.queue = l.queue[1:]
			f()
		}
		l.ended = true // what was posted is run
		l.runAll()
		all[2].Closed(nil, engine.ErrShutdown)
		all[3].Closed(nil, engine.ErrShutdown)
		if n := h.Stats().Subscriptions; n != 0 || len(h.local().presence.all) > 0 || len(h.shards.all) > 0 {
			t.Errorf("after %d turns %d subscriptions are left, presence in %d topics, %d shards",
				turns, n, len(h.local().presence.all), len(h.shards.all))
		}
		h.Close()
	}
}

// gapPanics is a Format whose Gap panics.
type gapPanics struct{ plainFormat }

func (gapPanics) Gap([]byte, string, Gap) []byte { panic("Gap") }

// TestFormatThatPanicsForOneWhoLeaves: a gap is told to a connection that is closed and has not
// left its topics yet. Nobody caught what its Format panicked with, and the rest of the turn was
// lost.
func TestFormatThatPanicsForOneWhoLeaves(t *testing.T) {
	b := newFaultyBroker()
	h := &Hub{Broker: b}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, gapPanics{})
	for i := range 100 {
		if err := s.subscribe(m, fmt.Sprint(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	m.Closed(nil, engine.ErrReset)
	e := s.names["0"]
	s.gap(s.slots.all[m.id], e, Gap{})
	l.runAll()
	if n := h.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}
