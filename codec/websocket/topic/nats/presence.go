package nats

import (
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

const (
	aliveInterval  = time.Second
	aliveTimeout   = 4 * time.Second
	digestInterval = 15 * time.Second // of each topic, with jitter
	digestTimeout  = 50 * time.Second
	gatherTime     = 500 * time.Millisecond // for all nodes to answer
	pausedTime     = 2 * time.Second        // this process was stopped, or had no connection
	askAgain       = 500 * time.Millisecond
)

// Presence does without the stream: nodes tell of their own members, and each keeps a table of all
// members of the topics that it follows. A change carries the version before it and its own, so
// that a node that has missed one asks for everything. What nobody may notice, such as that the
// last change was lost, is told by digests. A node that is not heard takes its members with it.

// presence is who is present, on this node and others. Its goroutine owns all but the changes and
// requests.
type presence struct {
	b    *Broker
	in   chan *nats.Msg
	wake chan struct{} // has one if there are changes or requests
	subs []*nats.Subscription

	mu       sync.Mutex
	changes  changes
	requests []membersRequest
	announce bool
	ended    bool // nobody does requests any more

	rooms   map[string]*room
	order   []*room              // all rooms, for turn
	next    int                  // in order: the one whose turn it is
	due     map[*room]struct{}   // that wait for something: see attend
	nodes   map[string]time.Time // when each other node was heard last
	version uint64               // of the last change
	touched map[*room]struct{}   // by the requests that are being done

	nextAlive, nextAnnounce, lastTurn time.Time
}

// membersRequest is a call of Members.
type membersRequest struct {
	topic string
	done  func([]topic.Member, error)
}

func (p *presence) init(b *Broker) {
	p.b = b
	p.in = make(chan *nats.Msg, shardPending)
	p.wake = make(chan struct{}, 1)
	p.rooms = make(map[string]*room)
	p.nodes = make(map[string]time.Time)
	p.touched = make(map[*room]struct{})
	p.due = make(map[*room]struct{})
}

// Join implements topic.PresenceBroker. A member that has joined n times leaves with the nth Leave.
func (b *Broker) Join(name string, m topic.Member) error {
	if _, err := escape(name); err != nil {
		return err
	}
	if cost(m.ID, m.Info) > b.presence.most() {
		return ErrTooLarge
	}
	m.Info = slices.Clone(m.Info)
	return b.presence.request(func(p *presence) { p.changes.join(name, m) })
}

// Leave implements topic.PresenceBroker.
func (b *Broker) Leave(name, id string) {
	_ = b.presence.request(func(p *presence) { p.changes.leave(name, id) })
}

// Members implements topic.PresenceBroker. For a topic that the node does not follow, it takes half
// a second.
func (b *Broker) Members(name string, done func([]topic.Member, error)) {
	_, err := escape(name)
	if err == nil {
		err = b.presence.request(func(p *presence) { p.requests = append(p.requests, membersRequest{name, done}) })
	}
	if err != nil {
		done(nil, err)
	}
}

// follow and forget say that the node wants to know of a topic's members, or no longer does.
func (p *presence) follow(name string) {
	_ = p.request(func(p *presence) { p.changes.followed(name, true) })
}

func (p *presence) forget(name string) {
	_ = p.request(func(p *presence) { p.changes.followed(name, false) })
}

// request notes what the goroutine is to do.
func (p *presence) request(note func(*presence)) error {
	p.mu.Lock()
	if p.ended || p.b.ctx.Err() != nil {
		p.mu.Unlock()
		return topic.ErrClosed
	}
	note(p)
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

// slow reports whether a subscription that has lost messages is one of presence. Versions and
// digests tell what was lost.
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

// end answers what waits, and what is asked from now on.
func (p *presence) end() {
	for _, r := range p.rooms {
		for _, done := range r.waiting {
			p.answer(done, nil, topic.ErrClosed)
		}
	}
	p.mu.Lock()
	requests := p.requests
	p.changes, p.requests, p.ended = nil, nil, true
	p.mu.Unlock()
	for _, r := range requests {
		p.answer(r.done, nil, topic.ErrClosed)
	}
}

// answer answers a request for members.
func (p *presence) answer(done func([]topic.Member, error), members []topic.Member, err error) {
	p.b.call("done of Members", func() { done(members, err) })
}

// doRequests does what was asked for, and tells other nodes once per topic.
func (p *presence) doRequests() {
	p.mu.Lock()
	all, requests, announce := p.changes, p.requests, p.announce
	p.changes, p.requests, p.announce = nil, nil, false
	p.mu.Unlock()
	for name, of := range all {
		p.doChange(name, of)
	}
	for _, q := range requests {
		r := p.room(q.topic)
		p.subscribe(r)
		r.waiting = append(r.waiting, q.done)
		r.answerAt = r.since.Add(gatherTime)
		p.attend(r, time.Now())
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
