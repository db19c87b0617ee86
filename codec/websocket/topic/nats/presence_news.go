package nats

import "github.com/myriadnet/myriad/codec/websocket/topic"

// news is a member that has joined, or left.
type news struct {
	member topic.Member
	left   bool
}

// note notes that a member has joined or left, or that it has not, if it has done the opposite
// since the Sink was told last.
func (r *room) note(m topic.Member, left bool) {
	if n, ok := r.news[m.ID]; ok && n.left != left {
		delete(r.news, m.ID)
		return
	}
	if r.news == nil {
		r.news = make(map[string]news)
	}
	r.news[m.ID] = news{m, left}
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
