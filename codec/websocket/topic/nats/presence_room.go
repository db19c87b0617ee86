package nats

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// room is a topic with presence.
type room struct {
	topic, token string
	sub          *nats.Subscription
	followed     bool
	since        time.Time // of the subscription

	local      map[string]*localMember
	touched    map[string]*localMember // members of this node before the change; nil: not there
	version    uint64                  // of the last change on this node; 0 if there was none
	nextDigest time.Time
	emptied    time.Time // when the last local member left

	nodes map[string]*roomNode
	all   map[string]*presentMember
	list  []topic.Member // all, as Members tells them; nil: to be made when somebody asks

	news     map[string]news // by ID: to be told to the Sink
	waiting  []func([]topic.Member, error)
	answerAt time.Time
	place    int // in presence.order; -1: it is forgotten
}

type localMember struct {
	count int
	info  []byte
}

// presentMember is a member on any node.
type presentMember struct {
	nodes int
	info  []byte
}

// roomNode is what is known of the members of a topic on a node.
type roomNode struct {
	version uint64
	members map[string][]byte
	staged  map[string][]byte // of a state that comes in parts
	part    int
	heard   time.Time
	asked   time.Time
}

// room returns that of a topic.
func (p *presence) room(name string) *room {
	r := p.rooms[name]
	if r == nil {
		token, _ := escape(name) // was checked
		r = &room{
			topic: name, token: token,
			local: make(map[string]*localMember), touched: make(map[string]*localMember),
			nodes: make(map[string]*roomNode), all: make(map[string]*presentMember),
			place: len(p.order),
		}
		p.rooms[name] = r
		p.order = append(p.order, r)
	}
	return r
}

// remove forgets a room.
func (p *presence) remove(r *room) {
	if r.place < 0 {
		return
	}
	delete(p.rooms, r.topic)
	delete(p.due, r)
	last := len(p.order) - 1
	p.order[r.place] = p.order[last]
	p.order[r.place].place = r.place
	p.order[last] = nil
	p.order, r.place = p.order[:last], -1
}

// subscribe makes this node follow a topic, and asks all nodes for their members.
func (p *presence) subscribe(r *room) {
	nc := p.b.nc.Load()
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if r.sub != nil {
		return
	}
	if nc == nil {
		p.waits(r)
		return
	}
	sub, err := nc.ChanSubscribe(p.subject(r), p.in)
	if err != nil {
		p.waits(r)
		return
	}
	r.sub, r.since = sub, time.Now()
	p.send(p.subject(r), notice{kind: noticeWho, topic: r.topic})
}

// subject returns that of a topic's presence.
func (p *presence) subject(r *room) string { return p.b.subject("presence", r.token) }

// release forgets a topic that nobody needs any more.
func (p *presence) release(r *room) {
	if r.followed || len(r.local) > 0 || len(r.waiting) > 0 {
		return
	}
	if r.sub != nil {
		_ = r.sub.Unsubscribe()
		r.sub, r.since = nil, time.Time{}
		clear(r.nodes)
		clear(r.all)
		r.list, r.news = nil, nil
	}
	if r.version == 0 || time.Since(r.emptied) > digestTimeout+digestInterval {
		p.remove(r)
	}
}

// join and leave count a member of this node.
func (p *presence) join(r *room, m topic.Member) {
	l := r.local[m.ID]
	if l != nil {
		l.count++
		return
	}
	p.touch(r, m.ID)
	r.local[m.ID] = &localMember{1, m.Info}
	p.subscribe(r)
}

func (p *presence) leave(r *room, id string) {
	l := r.local[id]
	if l == nil {
		p.release(r)
		return
	}
	if l.count--; l.count == 0 {
		p.touch(r, id)
		delete(r.local, id)
	}
}

// touch notes that a local member changes.
func (p *presence) touch(r *room, id string) {
	if _, ok := r.touched[id]; !ok {
		r.touched[id] = r.local[id]
	}
	p.touched[r] = struct{}{}
}

// tellChange tells this node and others what has changed on this one.
func (p *presence) tellChange(r *room) {
	var joined []topic.Member
	var left []string
	for id, was := range r.touched {
		l := r.local[id]
		if l != nil && (was == nil || !bytes.Equal(was.info, l.info)) {
			joined = append(joined, topic.Member{ID: id, Info: l.info})
		} else if l == nil && was != nil {
			left = append(left, id)
		}
	}
	clear(r.touched)
	if len(joined)+len(left) == 0 {
		return
	}
	if len(r.local) == 0 {
		r.emptied = time.Now()
	}
	if r.nextDigest.IsZero() {
		r.nextDigest = time.Now().Add(jitter(digestInterval))
	}
	p.sendChange(r, joined, left)
	self := r.node(p.b.node)
	for _, m := range joined {
		r.add(self, m)
	}
	for _, id := range left {
		r.drop(self, id)
	}
	p.tellSink(r)
	p.release(r)
}

// node returns what is known of a node.
func (r *room) node(id string) *roomNode {
	n := r.nodes[id]
	if n == nil {
		n = &roomNode{members: make(map[string][]byte)}
		r.nodes[id] = n
	}
	return n
}

// add and drop change the members of a node. The Info that was told last is the member's.
func (r *room) add(n *roomNode, m topic.Member) {
	info, ok := n.members[m.ID]
	if ok && bytes.Equal(info, m.Info) {
		return
	}
	n.members[m.ID] = m.Info
	all := r.all[m.ID]
	switch {
	case all == nil:
		all = new(presentMember)
		r.all[m.ID], r.list = all, nil
		r.note(m, false, nil)
	case !bytes.Equal(all.info, m.Info):
		r.list = nil
		r.note(m, false, &topic.Member{ID: m.ID, Info: all.info})
	}
	all.info = m.Info
	if !ok {
		all.nodes++
	}
}

func (r *room) drop(n *roomNode, id string) {
	if _, ok := n.members[id]; !ok {
		return
	}
	delete(n.members, id)
	all := r.all[id]
	if all.nodes--; all.nodes == 0 {
		delete(r.all, id)
		r.list = nil
		m := topic.Member{ID: id, Info: all.info}
		r.note(m, true, &m)
	}
}

// dropNode forgets a node and its members.
func (p *presence) dropNode(r *room, id string) {
	n := r.nodes[id]
	if n == nil {
		return
	}
	for _, m := range slices.Collect(maps.Keys(n.members)) {
		r.drop(n, m)
	}
	delete(r.nodes, id)
	p.tellSink(r)
}

// answerWaiting answers requests for members, once all nodes had time to tell theirs.
func (p *presence) answerWaiting(r *room, now time.Time) {
	if len(r.waiting) == 0 || now.Before(r.answerAt) {
		return
	}
	for _, done := range r.waiting {
		if !p.b.canSend() {
			p.answer(done, nil, ErrDown)
			continue
		}
		p.answer(done, r.members(), nil)
	}
	r.waiting = nil
	p.release(r)
}

// members returns a list of all, which stays as it is. Whoever asks before it changes gets the same
// one: after an outage all members come back, and each asks.
func (r *room) members() []topic.Member {
	if r.list == nil {
		r.list = make([]topic.Member, 0, len(r.all))
		for id, m := range r.all {
			r.list = append(r.list, topic.Member{ID: id, Info: m.info})
		}
	}
	return r.list
}
