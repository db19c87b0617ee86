package topic

import "github.com/myriadnet/myriad/engine"

// late are members whose peers have caught up, and that have not got yet what waited for that: it
// may be a large message of each of their topics, to be formatted and compressed. The shard sends
// it in parts, in every other turn at most, so that messages for others come in between.
type late struct {
	members []*member
	served  bool // in the last turn
}

// flushed is called when nothing waits for a peer any more.
func (s *shard) flushed(m *member) {
	if s.hub.closed.Load() || m.late {
		return
	}
	budget := deliveriesMax
	s.extra = 0
	s.catchUp(m, &budget)
}

// catchUp sends a member what has waited until its peer has caught up, as long as there is a
// budget. The rest comes later. It begins behind the topic that was served last: a topic whose
// messages are large may fill the queue each time.
func (s *shard) catchUp(m *member, budget *int) {
	to, n, from := s.slots.all[m.id], len(m.subs), m.from
	for i := 0; i < n && m.waits > 0; i++ {
		place := (from + i) % n
		at := m.subs[place]
		e := s.entries.all[at.id]
		r := &e.subs[at.at]
		if !s.catchesUp(to, e, r) {
			continue
		}
		if *budget <= 0 {
			s.catchUpLater(m)
			return
		}
		m.from = place + 1
		m.waits--
		if r.id&isPending != 0 {
			s.catchUpNewest(to, e, at.at)
		} else {
			f := e.behind[m.id]
			f.waits = false
			s.recover(to, e, f)
		}
		*budget -= 1 + s.takeExtra()
	}
}

// catchUpNewest sends the newest message, unless a newer one comes in a moment.
func (s *shard) catchUpNewest(to slot, e *entry, i uint32) {
	r := &e.subs[i]
	r.id &^= isPending
	if s.awaits(e, i) {
		s.tally.conflated++
		return
	}
	s.refresh(to, e, r)
}

// catchesUp reports whether a subscription has waited for this. Otherwise flushed is called again.
func (s *shard) catchesUp(to slot, e *entry, r *sub) bool {
	if r.id&isPending != 0 {
		return to.peer.Pressure() == engine.Sent
	}
	return r.id&isBehind != 0 && e.behind[to.member.id].waits && to.peer.Pressure() != engine.OverHighWater
}

func (s *shard) catchUpLater(m *member) {
	m.late = true
	s.late.members = append(s.late.members, m)
	s.inbox.mu.Lock()
	s.wake()
}

// serveLate goes on with those members in every other turn, as long as there is a budget. Some may
// have left, and others need little.
func (s *shard) serveLate(budget *int) {
	l := &s.late
	l.served = len(l.members) > 0 && !l.served && !s.hub.closed.Load()
	if !l.served {
		return
	}
	for ; len(l.members) > 0 && *budget > 0; *budget-- { // to look at one is something, too
		m := l.members[0]
		l.members[0] = nil
		l.members = l.members[1:]
		if m.late = false; !m.gone {
			s.catchUp(m, budget)
		}
	}
	if len(l.members) == 0 {
		l.members = nil
	}
}
