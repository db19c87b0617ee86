package topic

import (
	"bytes"
	"slices"
	"sync"

	"github.com/myriadnet/myriad/engine"
)

// localPresence is who is present, by topic.
type localPresence struct {
	mu     sync.Mutex
	all    map[string]*roster
	givers []*giver // that are told
}

// roster is the members of a topic. To join, and to list them, costs the same however many there
// are: the list that others have got stays as it is, as what comes later is behind its end. Who
// leaves makes a hole in it. The list is copied without its holes when somebody asks for it, and
// not before: a connection may leave many topics at once.
type roster struct {
	list   []Member
	places map[string]int // in list, by ID
	shared bool           // others have the list, or a part of it
	holes  []int          // places in list of those that have left since
	others map[string]int // how often it was made to join after the first time: see giver
}

// join reports whether the member was not there.
func (r *roster) join(m Member) bool {
	if i, ok := r.places[m.ID]; ok {
		if !bytes.Equal(r.list[i].Info, m.Info) {
			r.own()
			r.list[r.places[m.ID]] = m
		}
		if r.others == nil {
			r.others = make(map[string]int)
		}
		r.others[m.ID]++
		return false
	}
	r.places[m.ID] = len(r.list)
	r.list = append(r.list, m)
	return true
}

// stays reports whether a member that leaves is still there by another process.
func (r *roster) stays(id string) bool {
	n := r.others[id]
	switch n {
	case 0:
		return false
	case 1:
		delete(r.others, id)
	default:
		r.others[id]--
	}
	return true
}

func (r *roster) leave(i int) Member {
	m := r.list[i]
	delete(r.places, m.ID)
	if r.shared {
		r.holes = append(r.holes, i)
		if len(r.holes) > holesMax*(1+len(r.places)) {
			r.own()
		}
	} else {
		r.fill(i)
	}
	return m
}

// holesMax is how many holes there may be for each member: they keep what those have left.
const holesMax = 8

// fill moves the last member of the list to a hole.
func (r *roster) fill(i int) {
	last := len(r.list) - 1
	if i < last {
		r.list[i] = r.list[last]
		r.places[r.list[i].ID] = i
	}
	r.list[last] = Member{}
	r.list = r.list[:last]
}

// own makes the list one that may be changed, without holes.
func (r *roster) own() {
	if !r.shared {
		return
	}
	n := len(r.places)
	list := make([]Member, 0, n+n/8+1)
	if len(r.holes) > n/8 {
		for id, i := range r.places {
			r.places[id] = len(list)
			list = append(list, r.list[i])
		}
		r.list = list
	} else {
		r.list = append(list, r.list...)
		slices.Sort(r.holes)
		for _, i := range slices.Backward(r.holes) { // so that the last one is never a hole
			r.fill(i)
		}
	}
	r.shared, r.holes = false, nil
}

func (r *roster) share() []Member {
	if r == nil {
		return nil
	}
	if len(r.holes) > 0 {
		r.own()
	}
	r.shared = true
	return r.list[:len(r.list):len(r.list)]
}

// Join implements PresenceBroker.
func (l *local) Join(name string, m Member) error {
	p := &l.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.handed.Load() {
		return engine.ErrHandedOver
	}
	if p.obtain(name).join(m) {
		l.tell(name, []Member{m}, nil)
	}
	return nil
}

// obtain returns the roster of a topic, made if there is none.
func (p *localPresence) obtain(name string) *roster {
	r := p.all[name]
	if r == nil {
		r = &roster{places: make(map[string]int)}
		if p.all == nil {
			p.all = make(map[string]*roster)
		}
		p.all[name] = r
	}
	return r
}

// tell tells all of members that have joined or left.
func (l *local) tell(name string, joined, left []Member) {
	l.sink.Present(name, joined, left)
	for _, g := range l.presence.givers {
		g.present(name, joined, left)
	}
}

// start makes a giver be told.
func (p *localPresence) start(g *giver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.givers = append(p.givers, g)
}

// stop ends that a giver is told.
func (p *localPresence) stop(g *giver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.givers = slices.DeleteFunc(p.givers, func(o *giver) bool { return o == g })
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
	if !ok || r.stays(id) {
		return
	}
	m := r.leave(i)
	if len(r.places) == 0 {
		delete(p.all, name)
	}
	l.tell(name, nil, []Member{m})
}

// Members implements PresenceBroker.
func (l *local) Members(name string, done func([]Member, error)) {
	l.presence.mu.Lock()
	all := l.presence.all[name].share()
	l.presence.mu.Unlock()
	done(all, nil)
}
