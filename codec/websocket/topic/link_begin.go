package topic

import (
	"log/slog"
)

// begin goes on with what the old process has given, which has taken so many publishes.
func (i *heir) begin(taken uint64) {
	l := i.local
	for i.mu.Lock(); !i.subscribeSome(); i.mu.Lock() {
		i.mu.Unlock()
	}
	i.dropTaken(taken)
	members := i.members
	for name, all := range members {
		i.joinAgain(name, all)
	}
	lists := l.presence.lists()
	for _, p := range i.sent {
		l.publish(asker{l.guardedOptions, l.limit}, p.topic, p.op, p.data)
	}
	i.become()
	l.remindAll()
	strangers := strangersOf(lists, members)
	l.agenda.at(l.clock.Now().Add(lentTime), func() {
		l.endLending()
		for name, ids := range strangers {
			for _, id := range ids {
				l.Leave(name, id)
			}
		}
	})
}

// beginMax is how many topics begin before others have their turn: loops wait for the lock.
const beginMax = 1000

// subscribeSome subscribes to some of the topics here, which are not in i.topics any more then. It
// reports whether that was the last one.
func (i *heir) subscribeSome() bool {
	n := 0
	for name := range i.topics {
		if n++; n > beginMax {
			return false
		}
		i.local.subscribe(i.local.lent(), name) // it is known already
		delete(i.topics, name)
	}
	return true
}

// joinAgain makes the members join that the old process has not taken.
func (i *heir) joinAgain(name string, all map[string]Member) {
	var known map[string]int
	if r := i.local.presence.all[name]; r != nil {
		known = r.places
	}
	for id, m := range all {
		if _, ok := known[id]; !ok {
			i.local.Join(name, m)
		}
	}
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

// strangersOf returns the members that are not known to be present here. Those that are on their
// way will have joined again when lentTime is over.
func strangersOf(lists map[string][]Member, known map[string]map[string]Member) map[string][]string {
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

// beginAnew begins without the old process, which has died: what it had is lost, and so is what was
// published there and did not come back. Subscribers are told of a gap.
func (i *heir) beginAnew(err error) {
	l := i.local
	i.link.fail(err)
	if !l.isClosed() {
		slog.Error("topic: histories are lost, topics begin anew", "error", err)
	}
	i.mu.Lock()
	l.clear()
	for name, all := range i.members {
		for _, m := range all {
			l.presence.obtain(name).join(m)
		}
	}
	for name := range i.topics {
		l.subscribe(l.lent(), name) // and its position is another one
	}
	i.become()
	l.agenda.at(l.clock.Now().Add(lentTime), l.endLending)
}

// become unlocks i, whose local broker has the topics now, and asks it what was not answered.
func (i *heir) become() {
	asked, waiting := i.asked, i.waiting
	i.topics, i.members, i.sent, i.asked, i.waiting, i.installing = nil, nil, nil, nil, nil, nil
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
