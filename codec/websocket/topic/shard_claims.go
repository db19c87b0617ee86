package topic

// A subscriber that comes back may claim a position of an epoch that has not come here yet, or that
// is gone: epochs are not ordered, so nobody knows. It gets what there is, behind a gap. If the
// epoch comes later on, it must not get again what it has: entry.claims remembers that, until a
// message behind the claim was sent, or the subscription ends.

// claim notes that a subscriber claims a position of an epoch that is not the entry's.
func (s *shard) claim(to slot, e *entry, r *sub, at Position) {
	if at == (Position{}) || at.Epoch == e.at.Epoch {
		return
	}
	if e.claims == nil {
		e.claims = make(map[uint32]Position)
	}
	e.claims[to.member.id] = at
	r.id |= isClaimed
}

// has reports whether a subscriber has claimed to have what is at a position.
func (e *entry) has(m *member, at Position) bool {
	if len(e.claims) == 0 {
		return false
	}
	claim, ok := e.claims[m.id]
	return ok && at.isUpTo(claim)
}

// passed ends a claim that is before a position.
func (e *entry) passed(m *member, at Position) {
	if len(e.claims) == 0 {
		return
	}
	if claim, ok := e.claims[m.id]; ok && at.isAfter(claim) {
		delete(e.claims, m.id) // deliverCarefully clears the flag
	}
}

// gapFor returns a gap without its end if the subscriber will not get the message there.
func (e *entry) gapFor(m *member, g Gap) Gap {
	if e.has(m, g.Next) {
		g.Next = Position{}
	}
	return g
}
