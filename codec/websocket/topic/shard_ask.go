package topic

import (
	"sync/atomic"
	"unsafe"
)

// asks are the calls of Broker.History for subscribers of a shard. A client can ask for a long
// history with a few bytes, and leave before it comes. So few of them are on their way at a time;
// others wait, and are not made at all if their subscriber has left. A shard makes them between its
// deliveries, not when a client subscribes: what they cost counts for its part of the turn.
type asks struct {
	waiting  []ask
	underway int
	left     int          // of these, and of waiting: those of connections that are closed
	bytes    atomic.Int64 // of answers that wait for the loop, or are on their way: see expects
}

type ask struct {
	entry    *entry
	member   *member
	follower *follower
}

const (
	asksMax       = 32               // on their way at a time
	answersBytes  = 1 << 20          // at which no more is asked
	answerUnknown = answersBytes / 8 // is what the first answer of a topic counts as on its way
)

// ready reports whether another one may be made.
func (q *asks) ready() bool {
	return len(q.waiting) > 0 && q.underway < asksMax && q.bytes.Load() < answersBytes
}

// ask makes a subscriber wait for its turn to call Broker.History.
func (s *shard) ask(m *member, e *entry, f *follower) {
	f.ask(e.at)
	m.hold(f)
	m.asks++
	s.asks.waiting = append(s.asks.waiting, ask{e, m, f})
	s.inbox.mu.Lock()
	s.wake()
}

// askNext calls Broker.History for the subscriber that has waited longest, and passes over those
// that have left.
func (s *shard) askNext() {
	q := &s.asks
	for range deliveriesMax {
		a := q.waiting[0]
		q.waiting[0] = ask{}
		if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
			q.waiting = nil
		}
		if f := a.follower; a.entry.behind[a.member.id] == f && f.asking {
			s.history(a)
			return
		}
		q.end(a.member)
		if q.waiting == nil {
			return
		}
	}
}

// end ends an ask of a member.
func (q *asks) end(m *member) {
	m.asks--
	if m.gone {
		q.left--
	}
}

// abandon is called when a member leaves. What it has asked for goes when that is most of what
// waits: a Broker may not answer for long, and connections come and go meanwhile.
func (q *asks) abandon(m *member) {
	m.gone = true
	if q.left += int(m.asks); q.left <= asksMax+len(q.waiting)/2 {
		return
	}
	kept := q.waiting[:0]
	for _, a := range q.waiting {
		if a.member.gone {
			q.end(a.member)
		} else {
			kept = append(kept, a)
		}
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
}

// history calls Broker.History for a subscriber.
func (s *shard) history(a ask) {
	q, e, m, f := &s.asks, a.entry, a.member, a.follower
	if f.cut { // the history has what it has held meanwhile
		f.ask(e.at)
		m.hold(f)
	}
	q.underway++
	expected := e.expects()
	q.bytes.Add(expected)
	// The Broker may call from within History. Then, too, what is in the inbox comes first.
	s.hub.history(e.topic.name, f.at, f.limit(&e.topic.options), func(msgs []Message, complete bool) {
		size := s.hub.answerSize(msgs)
		q.bytes.Add(size - expected)
		s.push(item{kind: itemAnswer, entry: e, more: &more{
			follower: f, member: m, msgs: msgs, complete: complete, size: max(size, 1)}})
	})
}

// expects returns about the memory of an answer that is on its way.
func (e *entry) expects() int64 {
	if e.answer == 0 {
		return answerUnknown
	}
	return e.answer
}

// hasAnswered notes the size of an answer. What is expected then falls slowly: who asks for little
// many times does not make all ask at once for much.
func (e *entry) hasAnswered(size int64) { e.answer = max(size, e.answer-e.answer/8, 1) }

// answered goes on with what History has found for a subscriber, unless it has left. Of a long
// answer it takes a part, and the rest after what else waits for the loop. It returns what that is
// in deliveries, besides those that it makes.
func (s *shard) answered(e *entry, a *more) int {
	q, f, n, cost := &s.asks, a.follower, len(a.msgs), 0
	if a.size > 0 {
		e.hasAnswered(a.size)
	}
	waits := e.behind[a.member.id] == f && f.asking
	if waits {
		n, cost = portion(a.msgs)
	}
	later := false // the rest
	defer func() { // also if a Format calls runtime.Goexit
		if !later {
			q.underway--
			q.bytes.Add(-s.hub.answerSize(a.msgs))
			q.end(a.member)
		}
	}()
	switch to := s.slots.all[a.member.id]; {
	case !waits:
	case n == len(a.msgs):
		s.recovered(to, e, f, a.msgs, a.complete)
	case s.recoveredPart(to, e, f, a.msgs[:n], a.complete):
		later = true
		q.bytes.Add(-s.hub.answerSize(a.msgs[:n]))
		s.push(item{kind: itemAnswer, entry: e, more: &more{
			follower: f, member: a.member, msgs: a.msgs[n:], complete: true}})
	}
	return cost
}

// portion returns how many of these messages are sent to a subscriber at a time, and what that is
// in deliveries, besides as many: they may have to be formatted and compressed first.
func portion(msgs []Message) (n, cost int) {
	bytes := 0
	for n < len(msgs) && n < deliveriesMax && (n == 0 || bytes+len(msgs[n].Data) <= heldBytesMax) {
		bytes += len(msgs[n].Data)
		n++
	}
	return n, max(0, bytes*deliveriesMax/heldBytesMax-n)
}

// answerSize returns the memory of an answer. The Hub's own broker has the data in its history, and
// another one makes it for each answer.
func (h *Hub) answerSize(msgs []Message) int64 {
	size := len(msgs) * int(unsafe.Sizeof(Message{}))
	if _, own := h.broker.(*local); !own {
		for i := range msgs {
			size += len(msgs[i].Data)
		}
	}
	return int64(size)
}

// limit returns how many messages of a history a follower gets.
func (f *follower) limit(o *Options) int {
	switch {
	case !f.arrives:
		return o.kept()
	case o.Conflate:
		return 1
	}
	return max(o.kept(), lentMessages)
}
