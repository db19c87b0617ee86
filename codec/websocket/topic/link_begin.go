package topic

import (
	"log/slog"
)

// begin goes on with what the old process has given, which has taken so many publishes.
func (i *heir) begin(taken uint64) {
	l := i.local
	lists := l.presence.lists()
	i.mu.Lock()
	i.dropTaken(taken)
	here := i.takeOver()
	l.remindAll()
	l.agenda.at(l.clock.Now().Add(lentTime), func() {
		l.endLending()
		for name, ids := range strangersOf(lists, here) {
			for _, id := range ids {
				l.Leave(name, id)
			}
		}
	})
}

// beginAnew begins without the old process, which has died: what it had is lost, and so is what was
// published there and did not come back. Subscribers are told of a gap.
func (i *heir) beginAnew(err error) {
	l := i.local
	i.link.fail(err)
	if !l.isClosed() {
		slog.Error("topic: histories are lost, topics begin anew", "error", err)
	}
	l.clear()
	i.mu.Lock()
	i.sent, i.size, i.quiet = nil, 0, i.last
	i.takeOver()
	l.agenda.at(l.clock.Now().Add(lentTime), l.endLending)
}

// beginMax is how many topics, members and publishes begin before others have their turn: loops
// wait for the lock.
const beginMax = 200

// takeOver makes the local broker do all that this process has asked for, also while it does so. It
// unlocks i, and returns the members that are present here.
func (i *heir) takeOver() (here map[string]map[string]bool) {
	for !i.takeOverSome() {
		i.mu.Unlock()
		i.mu.Lock()
	}
	here = i.here
	i.become()
	return here
}

// takeOverSome is a part of takeOver. It reports whether that was the last one.
func (i *heir) takeOverSome() bool {
	l, budget := i.local, beginMax
	for name := range i.topics {
		if budget--; budget < 0 {
			return false
		}
		l.subscribe(l.lent(), name) // unless it is anew, it is known already
		delete(i.topics, name)
	}
	for name, all := range i.members {
		for id, m := range all {
			if budget--; budget < 0 {
				return false
			}
			i.joinAgain(name, m)
			delete(all, id)
		}
		delete(i.members, name)
	}
	for len(i.sent) > 0 { // when all hear it
		if budget--; budget < 0 {
			return false
		}
		p := i.sent[0]
		i.dropTaken(i.taken + 1)
		l.publish(asker{l.guardedOptions, l.limit}, p.topic, p.op, p.data)
	}
	return true
}

// joinAgain makes a member join, unless the old process has taken it. When topics begin anew, all
// have been told of those that have joined before.
func (i *heir) joinAgain(name string, m heirMember) {
	if i.here[name] == nil {
		i.here[name] = make(map[string]bool)
	}
	i.here[name][m.ID] = true
	p := &i.local.presence
	if m.number <= i.quiet {
		p.mu.Lock()
		p.obtain(name).join(m.Member)
		p.mu.Unlock()
		return
	}
	if r := p.all[name]; r != nil {
		if _, ok := r.places[m.ID]; ok {
			return
		}
	}
	i.local.Join(name, m.Member)
}

// lists returns the members of all topics.
func (p *localPresence) lists() map[string][]Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string][]Member, len(p.all))
	for name, r := range p.all {
		all[name] = r.share()
	}
	return all
}

// strangersOf returns the members that were not present here when the topics came. Those that were
// on their way have joined again by now.
func strangersOf(lists map[string][]Member, known map[string]map[string]bool) map[string][]string {
	all := make(map[string][]string)
	for name, list := range lists {
		for i := range list {
			if _, ok := known[name][list[i].ID]; !ok {
				all[name] = append(all[name], list[i].ID)
			}
		}
	}
	return all
}

// become unlocks i, whose local broker has the topics now, and asks it what was not answered.
func (i *heir) become() {
	asked, waiting := i.asked, i.waiting
	i.topics, i.members, i.here, i.sent, i.asked, i.waiting, i.installing = nil, nil, nil, nil, nil, nil, nil
	i.own.Store(true)
	close(i.owned)
	i.mu.Unlock()
	for _, q := range asked {
		if q.done != nil {
			i.local.History(q.topic, q.after, q.limit, q.done)
		} else {
			i.local.Members(q.topic, toAll(q.members))
		}
	}
	for name, dones := range waiting {
		if len(dones) > 0 {
			i.local.Members(name, toAll(dones))
		}
	}
}
