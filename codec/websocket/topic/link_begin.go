package topic

import (
	"log/slog"
	"runtime"
)

// begin goes on with what the old process has given, which has taken so many publishes.
func (i *heir) begin(taken uint64) {
	l := i.local
	i.mu.Lock()
	i.dropTaken(taken)
	i.subscribeAll()
	i.joinAll()
	strangers := i.strangers()
	i.publishAll()
	i.become()
	l.remindAll()
	l.agenda.at(l.clock.Now().Add(lentTime), func() {
		l.endLending()
		for name, ids := range strangers {
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
	i.anew, i.sent, i.size = true, nil, 0
	i.subscribeAll() // and positions are others
	i.joinAll()
	i.publishAll()
	i.become()
	l.agenda.at(l.clock.Now().Add(lentTime), l.endLending)
}

// beginMax is how many things begin before others have their turn: loops wait for the lock.
const beginMax = 32

// rest lets others have the lock after each beginMax things. Without Gosched they would have it
// after a millisecond only, and a loop asks a hundred times in a turn.
func (i *heir) rest(n *int) {
	if *n++; *n%beginMax == 0 {
		i.mu.Unlock()
		if i.waits.Load() > 0 {
			runtime.Gosched()
		}
		i.mu.Lock()
	}
}

// subscribeAll subscribes to the topics here, which are not in i.topics any more then. From the end
// of that on, local is asked at once what does not have to wait for messages.
func (i *heir) subscribeAll() {
	n := 0
	for len(i.topics) > 0 { // others may add some
		for name := range i.topics {
			i.local.subscribe(i.local.lent(), name) // unless it begins anew, it is known already
			delete(i.topics, name)
			i.rest(&n)
		}
	}
	i.begins = true
}

// joinAll makes the members join that are not known here: those that the old process has not taken,
// or all, who need not be told of each other again.
func (i *heir) joinAll() {
	n := 0
	for name, all := range i.members {
		for _, m := range all {
			switch {
			case i.isPresent(name, m.ID):
			case i.anew:
				i.local.presence.obtain(name).join(m)
			default:
				i.local.Join(name, m)
			}
			i.rest(&n)
		}
	}
}

// isPresent reports whether a member is known here. Only i uses local.
func (i *heir) isPresent(name, id string) bool {
	r := i.local.presence.all[name]
	if r == nil {
		return false
	}
	_, known := r.places[id]
	return known
}

// strangers returns the members that are not known to be present here. Those that are on their way
// will have joined again when lentTime is over.
func (i *heir) strangers() map[string][]string {
	n, all := 0, make(map[string][]string)
	for name, r := range i.local.presence.all {
		for id := range r.places {
			if _, ok := i.members[name][id]; !ok {
				all[name] = append(all[name], id)
			}
			i.rest(&n)
		}
	}
	return all
}

// publishAll publishes what the old process has not taken, and what is published meanwhile.
func (i *heir) publishAll() {
	for n := 0; len(i.sent) > 0; i.rest(&n) {
		p := i.sent[0]
		i.dropTaken(i.taken + 1)
		i.local.publish(asker{i.local.guardedOptions, i.local.limit}, p.topic, p.op, p.data)
		i.flooded = n > floodMax
	}
}

// floodMax is how much is published until others have to wait. It is more than there can be in the
// beginning.
const floodMax = linkMax / 4 / messageCost

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
