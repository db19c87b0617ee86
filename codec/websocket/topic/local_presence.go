package topic

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// localPresence is who is present, by topic and ID.
type localPresence struct {
	mu  sync.Mutex
	all map[string]map[string]Member
}

// Join implements PresenceBroker.
func (l *local) Join(name string, m Member) error {
	p := &l.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[string]map[string]Member)
	}
	if p.all[name] == nil {
		p.all[name] = make(map[string]Member)
	}
	p.all[name][m.ID] = m
	l.sink.Present(name, []Member{m}, nil)
	return nil
}

// Leave implements PresenceBroker.
func (l *local) Leave(name string, id string) {
	p := &l.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.all[name][id]
	if !ok {
		return
	}
	if delete(p.all[name], id); len(p.all[name]) == 0 {
		delete(p.all, name)
	}
	l.sink.Present(name, nil, []Member{m})
}

// Members implements PresenceBroker.
func (l *local) Members(name string, done func([]Member, error)) {
	l.presence.mu.Lock()
	all := slices.Collect(maps.Values(l.presence.all[name]))
	l.presence.mu.Unlock()
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	done(all, nil)
}
