package topic

// add makes a subscription.
func (s *shard) add(m *member, e *entry) {
	e.subs = append(e.subs, sub{m.id, uint32(len(m.subs))})
	m.subs = append(m.subs, sub{e.id, uint32(len(e.subs) - 1)})
	s.counters.subscriptions.Add(1)
}

// find returns the index of a subscription in m.subs, -1 if there is none. It looks at the end that
// has fewer.
func (s *shard) find(m *member, e *entry) int {
	if len(e.subs) < len(m.subs) {
		for i := range e.subs {
			if e.subs[i].member() == m.id {
				return int(e.subs[i].at)
			}
		}
		return -1
	}
	for i := range m.subs {
		if m.subs[i].id == e.id {
			return i
		}
	}
	return -1
}

// remove ends the subscription m.subs[i], and the entry with the last one.
func (s *shard) remove(m *member, i int) {
	end := m.subs[i]
	e := s.entries.all[end.id]
	s.settle(m, e, end.at)
	s.cut(e, end.at)
	last := len(m.subs) - 1
	if i < last {
		moved := m.subs[last]
		m.subs[i] = moved
		s.entries.all[moved.id].subs[moved.at].at = uint32(i)
	}
	m.subs = m.subs[:last]
	s.counters.subscriptions.Add(-1)
	e.moved = e.moved || m.moved
	if len(e.subs) == 0 {
		defer s.end(e) // also if a Broker calls runtime.Goexit
	}
	s.absent(m, e)
}

// settle forgets what a subscription waits for.
func (s *shard) settle(m *member, e *entry, at uint32) {
	r := &e.subs[at]
	if r.id&isPending != 0 {
		m.waits--
	}
	if r.id&isBehind != 0 {
		f := e.behind[m.id]
		if f.waits {
			m.waits--
		}
		f.drop()
		m.hold(f)
		delete(e.behind, m.id)
	}
	delete(e.claims, m.id)
	r.id &^= special
}

// cut removes e.subs[at]. During a fan-out the hole moves to the end of each region: see fanout.
func (s *shard) cut(e *entry, at uint32) {
	if f := &s.fan; f.entry == e {
		if at < f.next {
			f.next--
			s.move(e, f.next, at)
			at = f.next
		}
		if at < f.end {
			f.end--
			s.move(e, f.end, at)
			at = f.end
		}
	}
	last := uint32(len(e.subs) - 1)
	s.move(e, last, at)
	e.subs = e.subs[:last]
}

// move moves the record of a subscription to another place of its entry.
func (s *shard) move(e *entry, from, to uint32) {
	if from == to {
		return
	}
	r := e.subs[from]
	e.subs[to] = r
	s.slots.all[r.member()].member.subs[r.at].at = to
}

// end removes an entry without subscriptions. What is in the inbox for it is skipped.
func (s *shard) end(e *entry) {
	delete(s.names, e.topic.name)
	s.entries.remove(e.id)
	if s.fan.entry == e {
		s.endFanout()
	}
	e.subs, e.behind, e.claims, e.newest = nil, nil, nil, nil
	e.topic.leave(e)
	s.inbox.mu.Lock()
	told := e.told
	s.inbox.mu.Unlock()
	if !told { // nobody will
		e.began()
	}
}

// began ends counting an entry for who has made it.
func (e *entry) began() {
	if e.by != nil {
		e.by.begins--
		e.by = nil
	}
}

// entry returns the entry of a topic, made for a member if there is none.
func (s *shard) entry(m *member, name string) (*entry, error) {
	if e := s.names[name]; e != nil {
		return e, nil
	}
	e := &entry{shard: s}
	e.id = s.entries.add(e)
	made := false
	defer func() { // also if Hub.Options or the Broker panics
		if !made {
			s.entries.remove(e.id)
		}
	}()
	if err := s.hub.interest(name, e); err != nil {
		return nil, err
	}
	made = true
	s.names[e.topic.name] = e
	if !e.begun {
		e.by = m
		m.begins++
	}
	return e, nil
}
