package topic

import "slices"

// A subscriber may have messages of an epoch that is not the one in which the loop's entry is: it
// claims a position of such an epoch when it comes back, or the history was ahead. Epochs are not
// ordered, so nobody knows whether that epoch is gone or comes only later. If it comes, the
// subscriber must not get again what it has: entry.claims remembers that, until a message behind
// the claim comes, or the subscription ends.

// claim notes that a subscriber has messages up to a position of an epoch that is not the entry's.
func (s *shard) claim(to slot, e *entry, at Position) {
	if at == (Position{}) || at.Epoch == e.at.Epoch {
		return
	}
	if e.claims == nil {
		e.claims = make(map[uint32][]Position)
	}
	e.unclaim(to.member, at)
	e.claims[to.member.id] = append(e.claims[to.member.id], at)
	e.subs[to.member.subs[s.find(to.member, e)].at].id |= isClaimed
}

// has reports whether a subscriber has claimed to have what is at a position.
func (e *entry) has(m *member, at Position) bool {
	return len(e.claims) > 0 && slices.ContainsFunc(e.claims[m.id], at.isUpTo)
}

// unclaim ends the claims up to a position. deliverCarefully clears the flag.
func (e *entry) unclaim(m *member, at Position) {
	claims, ok := e.claims[m.id]
	if !ok {
		return
	}
	claims = slices.DeleteFunc(claims, func(p Position) bool { return p.isUpTo(at) })
	if e.claims[m.id] = claims; len(claims) == 0 {
		delete(e.claims, m.id)
	}
}

// take notes that a subscriber is sent a message. It reports false if it has that already.
func (s *shard) take(to slot, e *entry, m *Message) bool {
	switch {
	case e.has(to.member, m.Position):
		return false
	case m.Epoch != e.at.Epoch:
		s.claim(to, e, m.Position)
	case len(e.claims) > 0:
		e.unclaim(to.member, m.Position)
	}
	return true
}
