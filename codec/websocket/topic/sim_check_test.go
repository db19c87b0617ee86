package topic

import "github.com/myriadnet/myriad/engine"

func (w *world) policy() engine.SlowPolicy {
	return engine.SlowPolicy(w.rng.IntN(int(engine.SlowPolicies)))
}

// checkShards checks the invariants of all shards.
func (w *world) checkShards() {
	w.t.Helper()
	for _, n := range w.nodes {
		for _, s := range n.hub.shards.all {
			if err := s.check(); err != "" {
				w.fail("%s", err)
			}
		}
	}
}

// check returns what is wrong with a shard, "" if nothing is.
func (s *shard) check() string {
	members := 0
	for id, at := range s.slots.all {
		m := at.member
		if m == nil {
			continue
		}
		members++
		if m.id != uint32(id) || m.shard != s {
			return "a member does not know its id"
		}
		waits := int32(0)
		for i, r := range m.subs {
			e := s.entries.all[r.id]
			if e == nil {
				return "a member refers to an entry that is gone"
			}
			back := e.subs[r.at]
			if back.member() != m.id || back.at != uint32(i) {
				return "a member's record and the entry's do not refer to each other"
			}
			f := e.behind[m.id]
			if (f != nil) != (back.id&isBehind != 0) {
				return "the flag does not say whether a subscription is behind"
			}
			if _, ok := e.claims[m.id]; ok && back.id&isClaimed == 0 {
				return "the flag does not say that a subscription has a claim"
			}
			if back.id&isPending != 0 || f != nil && f.waits {
				waits++
			}
		}
		if waits != m.waits {
			return "the number of subscriptions that wait is wrong"
		}
	}
	if members != s.members {
		return "the number of members is wrong"
	}
	if q := &s.asks; q.underway < 0 || q.underway > asksMax || q.underway == 0 && q.bytes.Load() != 0 {
		return "the calls of History are not counted"
	}
	subs := 0
	for id, e := range s.entries.all {
		if e == nil {
			continue
		}
		subs += len(e.subs)
		if e.id != uint32(id) || s.names[e.topic.name] != e || len(e.subs) == 0 {
			return "an entry is not what its tables say"
		}
		for i, r := range e.subs {
			m := s.slots.all[r.member()].member
			if m == nil || m.subs[r.at].id != e.id || m.subs[r.at].at != uint32(i) {
				return "an entry's record and the member's do not refer to each other"
			}
		}
		if f := &s.fan; f.entry == e && (f.next > f.end || int(f.end) > len(e.subs)) {
			return "the regions of the fan-out are not in order"
		}
		for id := range e.claims {
			if s.slots.all[id].member == nil {
				return "a subscription has a claim that has ended"
			}
		}
		for id := range e.behind {
			if s.slots.all[id].member == nil {
				return "a subscription is behind that has ended"
			}
			if m := s.slots.all[id].member; e.behind[id].asking && m.asks == 0 {
				return "nobody asks for the history that a subscription waits for"
			}
		}
	}
	if int64(subs) != s.counters.subscriptions.Load() {
		return "the number of subscriptions is wrong"
	}
	return ""
}

// checkFresh checks that everybody has got the last message of each topic.
func (w *world) checkFresh() {
	for _, n := range w.nodes {
		for _, p := range n.peers {
			for name, s := range p.subs {
				last := w.logs[name].last()
				if w.local {
					last = w.localLast(n, name)
				}
				if !s.told || s.at != last {
					e := p.member.shard.names[name]
					w.note("entry %v, loose %v, follower %+v", e.at, e.loose, e.behind[p.member.id])
					w.note("topic %v, behind %+v", e.topic.at, e.topic.behind)
					for _, i := range e.topic.interests {
						w.note("interest %v %+v", i.entry == e, i.behind)
					}
					w.fail("peer %d has %v of %s, the last one is %v", p.id, s.at, name, last)
				}
			}
		}
	}
}

func (w *world) localLast(n *simNode, name string) Position {
	t, _ := n.hub.broker.(*local).lock(name, nil)
	defer t.mu.Unlock()
	return t.last
}

// checkNothing checks that nothing is left of all that was.
func (w *world) checkNothing() {
	for _, n := range w.nodes {
		h := n.hub
		if len(h.shards.all) > 0 {
			w.fail("%d shards are left", len(h.shards.all))
		}
		for i := range h.stripes {
			if len(h.stripes[i].topics) > 0 {
				w.fail("topics are left")
			}
		}
		s := h.Stats()
		if s.Subscriptions != 0 || s.Topics != 0 || s.Pending != 0 {
			w.fail("%+v", s)
		}
		if h.agenda.all.len() > 0 {
			w.fail("%d appointments are left", h.agenda.all.len())
		}
		for name, is := range n.broker.subscribed {
			if is {
				w.fail("the broker's subscription to %s is left", name)
			}
		}
		if l, ok := h.broker.(*local); ok && (l.agenda.all.len() > 0 || len(l.presence.all) > 0) {
			w.fail("appointments of the broker are left")
		}
	}
}
