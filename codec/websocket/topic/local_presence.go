package topic

import "sync"

// localPresence is who is present, by topic.
type localPresence struct {
	mu  sync.Mutex
	all map[string]*roster
}

// roster is the members of a topic. To join, and to list them, costs the same however many there
// are: the list that others have got stays as it is, as what comes later is behind its end. Who
// leaves makes a hole, so then the list is copied if others may have it.
type roster struct {
	list   []Member
	places map[string]int // in list, by ID
	shared bool
}

func (r *roster) join(m Member) {
	if i, ok := r.places[m.ID]; ok {
		r.own()
		r.list[i] = m
		return
	}
	r.places[m.ID] = len(r.list)
	r.list = append(r.list, m)
}

func (r *roster) leave(i int) Member {
	r.own()
	m, last := r.list[i], len(r.list)-1
	r.list[i] = r.list[last]
	r.places[r.list[i].ID] = i
	r.list[last] = Member{}
	r.list = r.list[:last]
	delete(r.places, m.ID)
	return m
}

// own makes the list one that may be changed.
func (r *roster) own() {
	if r.shared {
		r.list, r.shared = append(make([]Member, 0, len(r.list)+len(r.list)/8+1), r.list...), false
	}
}

func (r *roster) share() []Member {
	if r == nil {
		return nil
	}
	r.shared = true
	return r.list[:len(r.list):len(r.list)]
}

// Join implements PresenceBroker.
func (l *local) Join(name string, m Member) error {
	p := &l.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[name]
	if r == nil {
		r = &roster{places: make(map[string]int)}
		if p.all == nil {
			p.all = make(map[string]*roster)
		}
		p.all[name] = r
	}
	r.join(m)
	l.sink.Present(name, []Member{m}, nil)
	return nil
}

// Leave implements PresenceBroker.
func (l *local) Leave(name string, id string) {
	p := &l.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[name]
	if r == nil {
		return
	}
	i, ok := r.places[id]
	if !ok {
		return
	}
	m := r.leave(i)
	if len(r.list) == 0 {
		delete(p.all, name)
	}
	l.sink.Present(name, nil, []Member{m})
}

// Members implements PresenceBroker.
func (l *local) Members(name string, done func([]Member, error)) {
	l.presence.mu.Lock()
	all := l.presence.all[name].share()
	l.presence.mu.Unlock()
	done(all, nil)
}
