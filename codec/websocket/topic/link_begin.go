package topic

import (
	"log/slog"
)

// begin goes on with what the old process has given, which has taken so many publishes.
func (i *heir) begin(taken uint64) {
	l := i.local
	i.mu.Lock()
	i.dropTaken(taken)
	for name := range i.topics {
		l.subscribe(l.lent(), name) // it is known already
	}
	for name, all := range i.members {
		i.joinAgain(name, all)
	}
	l.remindAll()
	for _, p := range i.sent {
		l.publish(asker{l.guardedOptions, l.limit}, p.topic, p.op, p.data)
	}
	strangers := i.strangers()
	i.become()
	l.agenda.at(l.clock.Now().Add(lentTime), func() {
		l.endLending()
		for name, ids := range strangers {
			for _, id := range ids {
				l.Leave(name, id)
			}
		}
	})
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

// strangers returns the members that are not known to be present here. Those that are on their way
// will have joined again when lentTime is over.
func (i *heir) strangers() map[string][]string {
	all := make(map[string][]string)
	for name, r := range i.local.presence.all {
		for id := range r.places {
			if _, ok := i.members[name][id]; !ok {
				all[name] = append(all[name], id)
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
