package topic

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// slowPeer keeps up until it is sent more than room bytes. Then something waits until it is
// flushed.
type slowPeer struct {
	countingPeer
	room     int
	pressure engine.Pressure
	last     string // message
}

func (p *slowPeer) SendPrepared(m *websocket.Prepared, slow engine.SlowPolicy) error {
	_, data := m.Message()
	p.last = string(data[:2])
	if p.room -= len(data); p.room < 0 {
		p.pressure = engine.Queued
	}
	return p.countingPeer.SendPrepared(m, slow)
}

func (p *slowPeer) Pressure() engine.Pressure { return p.pressure }

// slowSubscriber returns a member of a shard that has subscribed to topics which conflate, and has
// not got the newest message of any. publish publishes to all of them.
func slowSubscriber(t *testing.T, topics, size int) (s *shard, l *simLoop, m *member, p *slowPeer, publish func()) {
	h := &Hub{Options: func(string) Options { return Options{Conflate: true} }}
	h.start()
	t.Cleanup(h.Close)
	l = &simLoop{}
	s = h.shard(shardKey{}, l)
	p = &slowPeer{pressure: engine.Queued}
	m = s.join(p, nil)
	for i := range topics {
		if err := s.subscribe(m, fmt.Sprintf("%02x", i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	publish = func() {
		for i := range topics {
			data := append(fmt.Appendf(nil, "%02x", i), bytes.Repeat([]byte("x"), size)...)
			if err := h.Publish(fmt.Sprintf("%02x", i), websocket.Text, data); err != nil {
				t.Fatal(err)
			}
		}
		l.runAll()
	}
	publish()
	if p.messages > 0 {
		t.Fatal("the peer is not slow")
	}
	return s, l, m, p, publish
}

// TestFlushedPeerDoesNotHoldTheLoop: what has waited for a peer is sent in parts. With 127 topics
// of 60 KiB it was formatted and compressed in one call of 70 ms.
func TestFlushedPeerDoesNotHoldTheLoop(t *testing.T) {
	const topics = 127
	s, l, m, p, publish := slowSubscriber(t, topics, 60<<10)
	p.room, p.pressure = 1<<30, engine.Sent
	l.queue = append(l.queue, func() { s.flushed(m) })
	for len(l.queue) > 0 {
		f, before := l.queue[0], p.bytes
		l.queue = l.queue[1:]
		f()
		if n := p.bytes - before; n > 2*heldBytesMax {
			t.Fatalf("%d bytes in a turn", n)
		}
	}
	if p.messages != topics || m.waits != 0 {
		t.Errorf("%d messages, and %d wait", p.messages, m.waits)
	}
	publish()
	if p.messages != 2*topics {
		t.Errorf("%d messages, want %d", p.messages, 2*topics)
	}
}

// TestSlowSubscriberGetsAllTopics: a peer whose queue is full after each message gets those of all
// its topics in turn. It got those of the first one only.
func TestSlowSubscriberGetsAllTopics(t *testing.T) {
	s, l, m, p, publish := slowSubscriber(t, 3, 1000)
	got := map[string]int{}
	for range 9 {
		p.room, p.pressure = 0, engine.Sent
		s.flushed(m)
		l.runAll()
		got[p.last]++
		publish()
	}
	if len(got) != 3 || got["00"] != 3 || got["01"] != 3 {
		t.Errorf("messages by topic: %v", got)
	}
}

// TestLateMembersThatHaveLeft: each member that was late took two turns, also if it had left, and
// those behind it waited for hundreds of turns.
func TestLateMembersThatHaveLeft(t *testing.T) {
	const left, topics = 200, 3
	s, l, m, p, _ := slowSubscriber(t, topics, 100)
	for range left {
		other := s.join(&slowPeer{}, nil)
		other.late = true
		s.late.members = append(s.late.members, other)
		other.leave()
	}
	p.room, p.pressure = 1<<30, engine.Sent
	s.catchUpLater(m)
	turns := 0
	for ; len(l.queue) > 0; turns++ {
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
	}
	if p.messages != topics || m.late || turns > left/10 {
		t.Errorf("%d messages in %d turns, late %v", p.messages, turns, m.late)
	}
}

// pressedPeer is a countingPeer with a Pressure.
type pressedPeer struct {
	countingPeer
	pressure engine.Pressure
}

func (p *pressedPeer) Pressure() engine.Pressure { return p.pressure }

// TestManyThatWereKeptDoNotHoldTheLoop: a peer that was slow gets the newest messages of each of
// its topics, which count for the part that it may have of a turn. It got 16,384 at once: 20 ms.
func TestManyThatWereKeptDoNotHoldTheLoop(t *testing.T) {
	const topics, most = 128, heldMax + deliveriesMax
	h := &Hub{Options: func(string) Options { return Options{Slow: engine.SlowDropOldest} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	p := &pressedPeer{}
	m := s.join(p, nil)
	for i := range topics {
		if err := s.subscribe(m, fmt.Sprint(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	p.pressure = engine.OverHighWater
	for i := range topics {
		for range 2 * heldMax {
			h.Publish(fmt.Sprint(i), websocket.Text, []byte("x"))
		}
		l.runAll()
	}
	p.pressure = engine.Sent
	s.flushed(m)
	for turn := 0; ; turn++ {
		if p.messages > most {
			t.Fatalf("turn %d: %d messages, want at most %d", turn, p.messages, most)
		}
		if len(l.queue) == 0 {
			break
		}
		p.messages = 0
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
	}
	s.rest()
	if n := h.Stats().Recovered; n != topics*heldMax {
		t.Errorf("%d messages were sent, want %d", n, topics*heldMax)
	}
}

// TestHeldMessagesCountForTheTurn: what has come live while the history was asked for follows its
// answer, and counts like that.
func TestHeldMessagesCountForTheTurn(t *testing.T) {
	const members, live = 2 * deliveriesMax, 100
	h := &Hub{Options: func(string) Options { return Options{History: 1000} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	h.Publish("a", websocket.Text, []byte("x"))
	p := new(countingPeer)
	for range members {
		if err := s.subscribe(s.join(p, nil), "a", &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	e := s.names["a"]
	for i := range members { // all have asked, and this came meanwhile
		f := &follower{at: e.at}
		f.ask(e.at)
		for n := range uint64(live) {
			f.hold(&Message{Position: Position{e.at.Epoch, e.at.Seq + n + 1}, Prev: e.at.Seq + n, forms: new(forms)})
		}
		m := s.slots.all[i].member
		s.setBehind(e, &e.subs[m.subs[0].at], f)
		m.asks++
		s.asks.underway++
		s.push(item{kind: itemAnswer, entry: e, more: &more{follower: f, member: m, complete: true, size: 1}})
	}
	for len(l.queue) > 0 {
		p.messages = 0
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
		if most := 2*live + deliveriesMax; p.messages > most {
			t.Fatalf("%d messages in a turn, want at most %d", p.messages, most)
		}
	}
}
