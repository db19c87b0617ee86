package nats

import "github.com/myriadnet/myriad/codec/websocket/topic"

// changes are what methods of the Broker want of the goroutine of presence, by topic: how often
// each member has joined more than it has left, and whether the node follows the topic. They are
// not a list of calls: clients may come and go for as long as the goroutine waits for a server, and
// whoever has done both takes no memory.
type changes map[string]*change

type change struct {
	members map[string]memberChange // by ID
	follow  following
	was     bool // followed, before the first call
}

// memberChange is what becomes of a member that has joined n times: max(n+delta, least) times. It
// was gone in between if n+lowest is not above 0.
type memberChange struct {
	delta, least, lowest int
	member               topic.Member // as it has joined when it was not there
}

// following is what was said last about a topic.
type following uint8

const (
	followSame following = iota
	followBegins
	followEnds
)

// of returns the change of a topic, made if there is none.
func (c *changes) of(name string) *change {
	if *c == nil {
		*c = make(changes)
	}
	if (*c)[name] == nil {
		(*c)[name] = &change{members: make(map[string]memberChange)}
	}
	return (*c)[name]
}

// tidy forgets a topic's change if there is none.
func (c changes) tidy(name string) {
	if of := c[name]; len(of.members) == 0 && of.follow == followSame {
		delete(c, name)
	}
}

func (c *changes) join(name string, m topic.Member) {
	of := c.of(name)
	now := of.members[m.ID]
	if now.least == 0 {
		now.member = m
	}
	now.delta++
	now.least++
	of.members[m.ID] = now
}

func (c *changes) leave(name, id string) {
	of := c.of(name)
	now := of.members[id]
	now.delta--
	now.least = max(now.least-1, 0)
	now.lowest = min(now.lowest, now.delta)
	of.members[id] = now
	if now.delta == 0 && now.least == 0 && now.lowest == 0 {
		delete(of.members, id)
		c.tidy(name)
	}
}

func (c *changes) followed(name string, begins bool) {
	of := c.of(name)
	if of.follow == followSame {
		of.was = !begins
	}
	switch {
	case begins:
		of.follow = followBegins
	case of.was:
		of.follow = followEnds
	default:
		of.follow = followSame
	}
	c.tidy(name)
}

// doChange does what is wanted of a topic. Each step may forget the room.
func (p *presence) doChange(name string, of *change) {
	if of.follow == followBegins {
		r := p.room(name)
		r.followed = true
		p.subscribe(r)
	}
	for id, m := range of.members {
		p.changeMember(name, id, &m)
	}
	if of.follow == followEnds {
		r := p.room(name)
		r.followed = false
		p.release(r)
	}
}

func (p *presence) changeMember(name, id string, m *memberChange) {
	n := 0
	if r := p.rooms[name]; r != nil && r.local[id] != nil {
		n = r.local[id].count
	}
	want := max(n+m.delta, m.least)
	if n+m.lowest <= 0 { // it may have come back as another one
		for ; n > 0; n-- {
			p.leave(p.room(name), id)
		}
	}
	for ; n > want; n-- {
		p.leave(p.room(name), id)
	}
	for ; n < want; n++ {
		p.join(p.room(name), m.member)
	}
}
