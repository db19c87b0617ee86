package nats

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// Presence does without the stream: nodes tell of their own members, and each keeps a table of all members of
// the topics that it follows. A change carries the version before it and its own, so that a node that has
// missed one asks for everything. What nobody may notice, such as that the last change was lost, is told
// by digests. A node that is not heard takes its members with it.
const (
	aliveInterval  = time.Second
	aliveTimeout   = 4 * time.Second
	digestInterval = 15 * time.Second // of each topic, with jitter
	digestTimeout  = 50 * time.Second
	gatherTime     = 500 * time.Millisecond // for all nodes to answer
	pausedTime     = 2 * time.Second        // this process was stopped, or had no connection
	askAgain       = 500 * time.Millisecond
)

// presence is who is present, on this node and others. Its goroutine owns all but the requests.
type presence struct {
	b    *Broker
	in   chan *nats.Msg
	wake chan struct{} // has one if there are requests
	subs []*nats.Subscription

	mu       sync.Mutex
	requests []presenceRequest
	announce bool

	rooms   map[string]*room
	nodes   map[string]time.Time // when each other node was heard last
	version uint64               // of the last change
	touched map[*room]struct{}   // by the requests that are being done

	nextAlive, nextAnnounce, lastTurn time.Time
}

// presenceRequest is something that a method of the Broker wants. It is one of the fields.
type presenceRequest struct {
	topic   string
	join    *topic.Member
	leave   string
	follow  bool
	forget  bool
	members func([]topic.Member, error)
}

// room is a topic with presence.
type room struct {
	topic, token string
	sub          *nats.Subscription
	followed     bool
	since        time.Time // of the subscription

	local      map[string]*localMember
	touched    map[string]bool // whether members of this node were present before the change
	version    uint64          // of the last change on this node; 0 if there was none
	nextDigest time.Time
	emptied    time.Time // when the last local member left

	nodes map[string]*roomNode
	all   map[string]*presentMember

	joined, left []topic.Member // to be told to the Sink
	waiting      []func([]topic.Member, error)
	answerAt     time.Time
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

func (p *presence) init(b *Broker) {
	p.b = b
	p.in = make(chan *nats.Msg, shardPending)
	p.wake = make(chan struct{}, 1)
	p.rooms = make(map[string]*room)
	p.nodes = make(map[string]time.Time)
	p.touched = make(map[*room]struct{})
}

// Join implements topic.PresenceBroker. A member that has joined n times leaves with the nth Leave.
func (b *Broker) Join(name string, m topic.Member) error {
	if _, err := escape(name); err != nil {
		return err
	}
	if len(m.ID)+len(m.Info) > payloadSize/4 {
		return ErrTooLarge
	}
	m.Info = slices.Clone(m.Info)
	return b.presence.request(presenceRequest{topic: name, join: &m})
}

// Leave implements topic.PresenceBroker.
func (b *Broker) Leave(name, id string) {
	_ = b.presence.request(presenceRequest{topic: name, leave: id})
}

// Members implements topic.PresenceBroker. For a topic that the node does not follow, it takes half
// a second.
func (b *Broker) Members(name string, done func([]topic.Member, error)) {
	_, err := escape(name)
	if err == nil {
		err = b.presence.request(presenceRequest{topic: name, members: done})
	}
	if err != nil {
		done(nil, err)
	}
}

// follow and forget say that the node wants to know of a topic's members, or no longer does.
func (p *presence) follow(name string) { _ = p.request(presenceRequest{topic: name, follow: true}) }
func (p *presence) forget(name string) { _ = p.request(presenceRequest{topic: name, forget: true}) }

// request queues a request.
func (p *presence) request(r presenceRequest) error {
	if p.b.ctx.Err() != nil {
		return topic.ErrClosed
	}
	p.mu.Lock()
	p.requests = append(p.requests, r)
	p.mu.Unlock()
	p.wakeUp()
	return nil
}

// announceAll makes the goroutine tell everything of this node, and ask for everything of others.
func (p *presence) announceAll() {
	p.mu.Lock()
	p.announce = true
	p.mu.Unlock()
	p.wakeUp()
}

func (p *presence) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// slow reports whether a subscription that has lost messages is one of presence. Versions and digests
// tell what was lost.
func (p *presence) slow(sub *nats.Subscription) bool {
	prefix := p.b.subject("presence", "")
	return len(sub.Subject) > len(prefix) && sub.Subject[:len(prefix)] == prefix
}

// listenPresence subscribes to what is for all nodes, or this one.
func (b *Broker) listenPresence(nc *nats.Conn) error {
	for _, subject := range []string{b.subject("alive", "all"), b.subject("node", b.node)} {
		sub, err := nc.ChanSubscribe(subject, b.presence.in)
		if err != nil {
			return err
		}
		b.presence.subs = append(b.presence.subs, sub)
	}
	return nil
}

// unsubscribeAll ends all subscriptions. The goroutine has ended.
func (p *presence) unsubscribeAll() {
	for _, r := range p.rooms {
		if r.sub != nil {
			p.subs = append(p.subs, r.sub)
		}
	}
	for _, s := range p.subs {
		_ = s.Unsubscribe()
	}
}

// leaveAll tells other nodes that this one ends.
func (b *Broker) leaveAll() {
	b.presence.send(b.subject("alive", "all"), notice{kind: noticeBye})
	if nc := b.nc.Load(); nc != nil && nc.IsConnected() {
		_ = nc.FlushTimeout(time.Second)
	}
}

// keepPresence is the goroutine of presence.
func (b *Broker) keepPresence() {
	p := &b.presence
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			p.end()
			return
		case m := <-p.in:
			p.hear(m)
		case <-p.wake:
			p.doRequests()
		case now := <-tick.C:
			p.turn(now)
		}
	}
}

// end answers what waits.
func (p *presence) end() {
	for _, r := range p.rooms {
		for _, done := range r.waiting {
			done(nil, topic.ErrClosed)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if r.members != nil {
			go r.members(nil, topic.ErrClosed)
		}
	}
}

// doRequests does what was asked for, and tells other nodes once per topic.
func (p *presence) doRequests() {
	p.mu.Lock()
	requests, announce := p.requests, p.announce
	p.requests, p.announce = nil, false
	p.mu.Unlock()
	for _, q := range requests {
		r := p.room(q.topic)
		switch {
		case q.join != nil:
			p.join(r, *q.join)
		case q.follow:
			r.followed = true
			p.subscribe(r)
		case q.forget:
			r.followed = false
			p.release(r)
		case q.members != nil:
			p.subscribe(r)
			r.waiting = append(r.waiting, q.members)
			r.answerAt = r.since.Add(gatherTime)
			p.answerWaiting(r, time.Now())
		default:
			p.leave(r, q.leave)
		}
	}
	for r := range p.touched {
		p.tellChange(r)
	}
	clear(p.touched)
	if announce {
		p.nextAnnounce = time.Now()
		p.announceDue(time.Now())
	}
}

// room returns that of a topic.
func (p *presence) room(name string) *room {
	r := p.rooms[name]
	if r == nil {
		token, _ := escape(name) // was checked
		r = &room{
			topic: name, token: token,
			local: make(map[string]*localMember), touched: make(map[string]bool),
			nodes: make(map[string]*roomNode), all: make(map[string]*presentMember),
		}
		p.rooms[name] = r
	}
	return r
}

// subscribe makes this node follow a topic, and asks all nodes for their members.
func (p *presence) subscribe(r *room) {
	nc := p.b.nc.Load()
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if r.sub != nil || nc == nil {
		return
	}
	sub, err := nc.ChanSubscribe(p.subject(r), p.in)
	if err != nil {
		return // turn tries again
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
	}
	if r.version == 0 || time.Since(r.emptied) > digestTimeout+digestInterval {
		delete(p.rooms, r.topic)
	}
}

// join and leave count a member of this node.
func (p *presence) join(r *room, m topic.Member) {
	l := r.local[m.ID]
	if l != nil {
		l.count++
		return
	}
	p.touch(r, m.ID, false)
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
		p.touch(r, id, true)
		delete(r.local, id)
	}
}

// touch notes that a local member changes.
func (p *presence) touch(r *room, id string, present bool) {
	if _, ok := r.touched[id]; !ok {
		r.touched[id] = present
	}
	p.touched[r] = struct{}{}
}

// tellChange tells this node and others what has changed on this one.
func (p *presence) tellChange(r *room) {
	n := notice{kind: noticeChange, topic: r.topic, before: r.version}
	for id, was := range r.touched {
		l := r.local[id]
		if l != nil && !was {
			n.joined = append(n.joined, topic.Member{ID: id, Info: l.info})
		} else if l == nil && was {
			n.left = append(n.left, id)
		}
	}
	clear(r.touched)
	if len(n.joined)+len(n.left) == 0 {
		return
	}
	p.version++
	r.version = p.version
	n.version = r.version
	if len(r.local) == 0 {
		r.emptied = time.Now()
	}
	if r.nextDigest.IsZero() {
		r.nextDigest = time.Now().Add(jitter(digestInterval))
	}
	p.send(p.subject(r), n)
	self := r.node(p.b.node)
	for _, m := range n.joined {
		r.add(self, m)
	}
	for _, id := range n.left {
		r.drop(self, id)
	}
	p.tellSink(r)
	p.release(r)
}

// tellSink tells the Sink who has joined and left, once the topic's subscription has begun.
func (p *presence) tellSink(r *room) {
	if len(r.joined)+len(r.left) == 0 {
		return
	}
	out := p.b.subject("out", r.token)
	s := p.b.topics.shard(out)
	s.mu.Lock() // one goroutine at a time calls the Sink for a topic
	defer s.mu.Unlock()
	if t := s.topics[out]; t != nil && t.begun {
		p.b.sink.Present(r.topic, r.joined, r.left)
		r.joined, r.left = nil, nil
	}
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

// add and drop change the members of a node.
func (r *room) add(n *roomNode, m topic.Member) {
	if _, ok := n.members[m.ID]; ok {
		return
	}
	n.members[m.ID] = m.Info
	all := r.all[m.ID]
	if all == nil {
		all = &presentMember{info: m.Info}
		r.all[m.ID] = all
		r.joined, r.left = note(r.joined, r.left, m)
	}
	all.nodes++
}

func (r *room) drop(n *roomNode, id string) {
	if _, ok := n.members[id]; !ok {
		return
	}
	delete(n.members, id)
	all := r.all[id]
	if all.nodes--; all.nodes == 0 {
		delete(r.all, id)
		r.left, r.joined = note(r.left, r.joined, topic.Member{ID: id, Info: all.info})
	}
}

// note adds a member to those that the Sink will be told of, or takes it from the opposite ones.
func note(these, opposite []topic.Member, m topic.Member) (_, _ []topic.Member) {
	for i := range opposite {
		if opposite[i].ID == m.ID {
			return these, slices.Delete(opposite, i, i+1)
		}
	}
	return append(these, m), opposite
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
			done(nil, ErrDown)
			continue
		}
		members := make([]topic.Member, 0, len(r.all))
		for id, m := range r.all {
			members = append(members, topic.Member{ID: id, Info: m.info})
		}
		done(members, nil)
	}
	r.waiting = nil
	p.release(r)
}
