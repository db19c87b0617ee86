package topic

import "github.com/myriadnet/myriad/engine"

// welcome begins a subscription: it tells the position, and sends what came before.
func (s *shard) welcome(to slot, e *entry, i uint32, join *follower) {
	o := &e.topic.options
	at := e.at
	switch {
	case join != nil:
		if join.at == (Position{}) && !join.arrives && !o.Conflate && (at.Seq == 0 || o.kept() == 0) {
			// There is no history: who has nothing has all of it, and may miss what follows.
			join.at = at
		}
		at = join.at
	case o.Last && e.newest != nil:
		at = Position{e.newest.Epoch, e.newest.Prev}
	}
	arrives := join != nil && join.arrives
	if f := s.formats[to.member.format].Format; f != nil && !arrives {
		s.sendTo(to, f, func() []byte { return f.Subscribed(nil, e.topic.name, at) })
	}
	if join != nil {
		s.claim(to, e, at)
	}
	newest := e.newest
	switch {
	case join != nil && at.isAfter(e.at): // it has seen messages that have not come here yet
		s.setBehind(e, &e.subs[i], join)
	case newest != nil && (join == nil && o.Last || join != nil && o.Conflate && !newest.isUpTo(at)):
		s.refresh(to, e, &e.subs[i])
		if (e.loose || e.cut) && !o.Conflate && e.subs[i].id&(isPending|isBehind) == 0 {
			s.gap(to, e, Gap{After: newest.Position})
		}
	case o.Conflate && (!arrives || newest != nil):
	case join == nil, at == e.at:
		if e.loose {
			s.gap(to, e, Gap{After: at})
		}
	default:
		s.setBehind(e, &e.subs[i], join)
		s.recover(to, e, join)
	}
}

// welcomeLate is welcome for a subscription that has waited for the broker's.
func (s *shard) welcomeLate(to slot, e *entry, i uint32) {
	var join *follower
	if r := &e.subs[i]; r.id&isBehind != 0 {
		join = e.behind[to.member.id]
		delete(e.behind, to.member.id)
		r.id &^= isBehind
		join.joins = false
	}
	s.welcome(to, e, i, join)
}

// refresh sends the newest message, now or when the peer has caught up.
func (s *shard) refresh(to slot, e *entry, r *sub) {
	switch o := &e.topic.options; {
	case o.Conflate && to.peer.Pressure() != engine.Sent:
		r.id |= isPending
		to.member.waits++
	case !o.Conflate && o.drops() && to.peer.Pressure() == engine.OverHighWater:
		s.setBehind(e, r, &follower{at: Position{e.newest.Epoch, e.newest.Prev}, waits: true})
		to.member.waits++
	default:
		s.sendAlone(to, e, e.newest, e.at)
	}
}

// recover gets a subscriber what it has missed: from the history, or by telling of a gap.
func (s *shard) recover(to slot, e *entry, f *follower) {
	o := &e.topic.options
	if o.kept() == 0 && !f.arrives {
		s.recovered(to, e, f, nil, false)
		return
	}
	s.ask(to.member, e, f)
}

func (s *shard) recovered(to slot, e *entry, f *follower, msgs []Message, complete bool) {
	s.proceed(to, e, f, f.answer(msgs, complete, s.handing(to, e, f)))
}

// recoveredPart is recovered for the first messages of an answer. It reports whether the subscriber
// goes on with the rest.
func (s *shard) recoveredPart(to slot, e *entry, f *follower, msgs []Message, complete bool) bool {
	if f.part(msgs, complete, s.handing(to, e, f)) {
		return true
	}
	s.proceed(to, e, f, stopped)
	return false
}

// handing returns what gives a subscriber the messages of an answer, as follower.answer needs it.
func (s *shard) handing(to slot, e *entry, f *follower) func(m *Message, g *Gap) bool {
	f.quiet = f.at == Position{} || e.topic.options.Conflate // a newcomer gets what there is
	return func(m *Message, g *Gap) bool {
		switch {
		case g != nil:
			s.gap(to, e, *g)
		case to.peer.Pressure() == engine.OverHighWater:
			return false
		default:
			s.sendAlone(to, e, m, f.at)
			s.tally.recovered++
			s.extra++
		}
		return true
	}
}

// proceed does what follows from an answer.
func (s *shard) proceed(to slot, e *entry, f *follower, outcome outcome) {
	to.member.hold(f)
	switch outcome {
	case askAgain:
		s.recover(to, e, f)
	case stopped:
		f.rounds = 0
		f.waits = true
		to.member.waits++
	default:
		s.rejoin(to, e, f)
	}
}

// rejoin ends the recovery of a subscriber that has caught up: see offer.
func (s *shard) rejoin(to slot, e *entry, f *follower) {
	i := to.member.subs[s.find(to.member, e)].at
	reached := e.at
	if s.awaits(e, i) {
		reached = s.fan.before
	}
	if !f.isAhead(reached) {
		s.setLevel(to, e, i)
	}
}

// setLevel ends setBehind.
func (s *shard) setLevel(to slot, e *entry, i uint32) {
	f := e.behind[to.member.id]
	f.drop()
	to.member.hold(f)
	delete(e.behind, to.member.id)
	e.subs[i].id &^= isBehind
}

// awaits reports whether e.subs[i] will still get the message that is fanned out.
func (s *shard) awaits(e *entry, i uint32) bool {
	f := &s.fan
	return f.entry == e && f.item.kind == itemMessage && f.next <= i && i < f.end
}

// offer is for a live message and a subscriber that is behind.
func (s *shard) offer(to slot, e *entry, i uint32, m *Message) {
	f := e.behind[to.member.id]
	switch {
	case f.asking:
		f.hold(m)
		to.member.hold(f)
		return
	case f.waits:
		s.keep(e, f, m)
		to.member.hold(f)
		return
	}
	// It has caught up with more than this loop has seen.
	o := &e.topic.options
	fits := f.fits(m)
	switch {
	case fits == fitsStale:
		if !f.isAhead(m.Position) {
			s.setLevel(to, e, i)
		}
		return
	case o.Conflate:
		s.setLevel(to, e, i)
		s.conflate(to, e, &e.subs[i], &s.fan)
		return
	case fits == fitsHole && o.kept() > 0:
		s.recover(to, e, f)
		f.hold(m)
		to.member.hold(f)
		return
	case fits == fitsHole:
		s.gap(to, e, Gap{f.at, m.Position})
	}
	s.setLevel(to, e, i)
	if o.drops() && to.peer.Pressure() == engine.OverHighWater {
		s.fallBehind(to, e, &e.subs[i], m, f.at)
		return
	}
	s.sendAlone(to, e, m, f.at)
}
