package topic

// refillMax is how many messages of an answer a loop takes at a time. Then it delivers them.
const refillMax = 16 * deliveriesMax

// refill is called by a loop that has done all its work, and has missed messages for an entry,
// since too much waited for it before.
func (t *topic) refill(e *entry) {
	t.mu.Lock()
	i := t.find(e)
	if i < 0 || t.interests[i].behind == nil {
		t.mu.Unlock()
		return
	}
	f := t.interests[i].behind
	if rest := f.rest; f.asking && rest != nil {
		f.rest = nil
		t.fill(&t.interests[i], rest, true)
		t.mu.Unlock()
		return
	}
	if !f.waits {
		t.mu.Unlock()
		return
	}
	if t.options.Conflate || t.options.kept() == 0 {
		t.skip(&t.interests[i])
		t.mu.Unlock()
		return
	}
	f.ask(t.at)
	after := f.at
	t.mu.Unlock()
	t.hub.history(t.name, after, t.options.kept(), func(msgs []Message, complete bool) {
		t.refilled(e, f, msgs, complete)
	})
}

// skip goes on with the newest message, or behind a gap.
func (t *topic) skip(i *interest) {
	f := i.behind
	i.behind = nil
	if !f.quiet || f.unsure {
		t.give(i, item{kind: itemGap, more: &more{gap: Gap{After: f.at}}}, f.at)
	}
	if t.options.Conflate && t.newest != nil && t.newest.Position != f.at {
		t.give(i, item{kind: itemMessage, m: t.newest}, f.at)
	}
}

// refilled goes on with what History has found.
func (t *topic) refilled(e *entry, f *follower, msgs []Message, complete bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(e)
	if i < 0 || t.interests[i].behind != f || !f.asking {
		return
	}
	t.fill(&t.interests[i], msgs, complete)
}

// fill gives a loop what History has found, the first messages of it if there are many.
func (t *topic) fill(i *interest, msgs []Message, complete bool) {
	e, f := i.entry, i.behind
	hand := func(m *Message, g *Gap) bool {
		if g != nil {
			return e.shard.push(item{kind: itemGap, entry: e, more: &more{gap: *g}})
		}
		t.hub.retired.recovered.Add(1)
		return e.shard.push(item{kind: itemMessage, entry: e, m: t.options.mine(m)})
	}
	outcome := stopped
	if n := refillMax; n < len(msgs) {
		if f.part(msgs[:n], complete, hand) {
			f.rest, f.rounds = msgs[n:], 0 // live messages come meanwhile, maybe more than it holds
			e.shard.missFirst(e)
			return
		}
	} else {
		outcome = f.answer(msgs, complete, hand)
	}
	switch {
	case outcome != caughtUp:
		f.waits = true
		e.shard.miss(e)
	case !f.isAhead(t.at):
		i.behind = nil
	}
}
