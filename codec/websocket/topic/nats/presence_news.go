package nats

import (
	"bytes"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// news is a member that has joined, or left, or has another Info.
type news struct {
	member topic.Member
	left   bool
	was    *topic.Member // what the Sink knows; nil: that nobody is there
}

// note notes that a member has joined or left, or has another Info than before, unless that is what
// the Sink was told last. was is what it was told, if there are no news of the member yet.
func (r *room) note(m topic.Member, left bool, was *topic.Member) {
	if n, ok := r.news[m.ID]; ok {
		was = n.was
	}
	known := was != nil && !left && bytes.Equal(was.Info, m.Info)
	if known || left && was == nil {
		delete(r.news, m.ID)
		return
	}
	if r.news == nil {
		r.news = make(map[string]news)
	}
	r.news[m.ID] = news{m, left, was}
}

// tellSink tells the Sink who has joined and left, once the topic's subscription has begun.
func (p *presence) tellSink(r *room) {
	if len(r.news) == 0 {
		return
	}
	out := p.b.subject("out", r.token)
	s := p.b.topics.shard(out)
	s.mu.Lock() // one goroutine at a time calls the Sink for a topic
	defer s.mu.Unlock()
	if t := s.topics[out]; t == nil || !t.begun {
		p.waits(r)
		return
	}
	var joined, left []topic.Member
	for _, n := range r.news {
		if n.left {
			left = append(left, n.member)
		} else {
			joined = append(joined, n.member)
		}
	}
	r.news = nil
	p.b.sink.Present(r.topic, joined, left)
}
