package topic

// presence is a member of a topic on this node.
type presence struct {
	member Member
	conns  int // subscriptions that it has
}

// appear counts a subscription of a member, and makes it join with the first one.
func (s *shard) appear(m *member, e *entry, who *Member) {
	h, t := s.hub, e.topic
	if who == nil || !t.options.Presence || h.presence == nil {
		return
	}
	if e.present == nil {
		e.present = make(map[uint32]string)
	}
	e.present[m.id] = who.ID
	lock := &h.stripe(t.name).aligning
	lock.Lock()
	defer lock.Unlock()
	t.mu.Lock()
	p := t.present[who.ID]
	if p == nil {
		p = &presence{member: who.clone()}
		if t.present == nil {
			t.present = make(map[string]*presence)
		}
		t.present[who.ID] = p
	}
	p.conns++
	first, joins := p.conns == 1, p.member
	t.mu.Unlock()
	if first {
		h.presence.Join(t.name, joins) // an error is the Broker's: it tries again
	}
}

// absent ends appear.
func (s *shard) absent(m *member, e *entry) {
	id, ok := e.present[m.id]
	if !ok {
		return
	}
	delete(e.present, m.id)
	s.departs(m, e.topic, id)
}

// depart ends a subscription of a member, and makes it leave with the last one.
func (h *Hub) depart(t *topic, id string) {
	lock := &h.stripe(t.name).aligning
	lock.Lock()
	defer lock.Unlock()
	t.mu.Lock()
	p := t.present[id]
	p.conns--
	last := p.conns == 0
	if last {
		delete(t.present, id)
	}
	t.mu.Unlock()
	if last {
		guard("Leave", func() { h.presence.Leave(t.name, id) })
	}
}

// Present implements Sink.
func (k *sink) Present(name string, joined, left []Member) {
	t := (*Hub)(k).find(name)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.options.PresenceInterval > 0 && t.state == begun {
		t.news.add(joined, left)
		if !t.news.due {
			t.tellNews()
		}
		return
	}
	t.tellPresent(joined, left)
}

// tellPresent tells all loops of members that have joined or left.
func (t *topic) tellPresent(joined, left []Member) {
	it := item{kind: itemPresent, more: &more{joined: joined, left: left}}
	if t.state != begun {
		t.early.add(it)
		return
	}
	t.giveAll(it, t.sent(t.at))
}

// early is who has come and gone before the topic's subscription has begun. Subscribers may have
// the list of members by then, but nothing may come before Format.Subscribed.
type early struct {
	items []item
	bytes int
	cut   bool // it was too much
}

func (y *early) add(it item) {
	if y.cut {
		return
	}
	y.items = append(y.items, it)
	if y.bytes += it.price(); y.bytes > heldBytesMax {
		*y = early{cut: true}
	}
}

// tellEarly tells of what has come before the begin, or that it was too much.
func (t *topic) tellEarly() {
	y := t.early
	t.early = early{}
	for _, it := range y.items {
		t.giveAll(it, t.sent(t.at))
	}
	if y.cut {
		t.giveAll(item{kind: itemGap, more: &more{gap: Gap{After: t.at}}}, t.at)
	}
}

// giveAll gives each loop an item like it.
func (t *topic) giveAll(it item, before Position) {
	for i := range t.interests {
		m := &more{gap: it.more.gap, joined: it.more.joined, left: it.more.left}
		t.give(&t.interests[i], item{kind: it.kind, more: m}, before)
	}
}

// Members asks who is present at a topic. done is called once, from any goroutine, perhaps before
// Members returns, and must not change the members, whose order is undefined. The error is
// ErrNoPresence if the Broker does not know.
func (h *Hub) Members(topic string, done func([]Member, error)) {
	err := h.start()
	if err == nil {
		err = h.check(topic)
	}
	switch {
	case err != nil:
		done(nil, err)
	case h.presence == nil:
		done(nil, ErrNoPresence)
	default:
		h.presence.Members(topic, done)
	}
}

func (m *Member) clone() Member { return Member{m.ID, append([]byte(nil), m.Info...)} }
