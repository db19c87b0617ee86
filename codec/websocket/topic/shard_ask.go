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
	bytes    atomic.Int64 // of answers that wait for the loop
}

type ask struct {
	entry    *entry
	member   *member
	follower *follower
}

const (
	asksMax      = 32      // on their way at a time
	answersBytes = 1 << 20 // that wait for the loop, at which no more is asked
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
		a.member.asks--
		if q.waiting == nil {
			return
		}
	}
}

// history calls Broker.History for a subscriber.
func (s *shard) history(a ask) {
	q, e, m, f := &s.asks, a.entry, a.member, a.follower
	if f.cut { // the history has what it has held meanwhile
		f.ask(e.at)
		m.hold(f)
	}
	q.underway++
	// The Broker may call from within History. Then, too, what is in the inbox comes first.
	s.hub.history(e.topic.name, f.at, f.limit(&e.topic.options), func(msgs []Message, complete bool) {
		q.bytes.Add(messagesSize(msgs))
		s.push(item{kind: itemAnswer, entry: e, more: &more{follower: f, member: m, msgs: msgs, complete: complete}})
	})
}

// answered goes on with what History has found for a subscriber, unless it has left. It returns
// what that is in deliveries.
func (s *shard) answered(e *entry, a *more) int {
	s.asks.underway--
	s.asks.bytes.Add(-messagesSize(a.msgs))
	a.member.asks--
	if f := a.follower; e.behind[a.member.id] == f && f.asking {
		s.recovered(s.slots.all[a.member.id], e, f, a.msgs, a.complete)
	}
	return len(a.msgs)
}

// messagesSize returns the memory of an answer. Its messages are in the history as well, as a rule.
func messagesSize(msgs []Message) int64 { return int64(len(msgs)) * int64(unsafe.Sizeof(Message{})) }

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
