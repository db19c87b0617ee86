package topic

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// topic is a topic that has subscribers on this node, or had some a short while ago.
//
// Locks are taken in this order: stripe.aligning, those of the Broker, topic.mu, stripe.mu,
// shard.inbox. So no method of the Broker is called under topic.mu; and none is called by a method
// of the Sink, which the Broker may call under its own locks.
type topic struct {
	hub     *Hub
	name    string
	options Options

	mu        sync.Mutex
	interests []interest
	state     state
	gone      bool // not in the Hub any more
	due       bool // release is in the agenda
	moved     bool // a subscriber has moved to another process, and may not have subscribed there
	loose     bool // a gap was told whose end is the next message
	early     early
	at        Position  // of the last message that was handed on
	former    uint64    // the epoch before that of at
	entered   time.Time // when that of at has begun
	newest    *Message  // that was sent, if options.keepsNewest
	behind    *follower // a message is missing; nil: none
	left      time.Time // when the last interest has left
	interval  *interval
	present   map[string]*presence // by ID
	news      news
}

// state is that of the broker's subscription.
type state uint8

const (
	unknown state = iota // Broker.Subscribe was not called
	asked                // it was, and Sink.Subscribed was not
	begun
)

// interest is a loop with subscribers.
type interest struct {
	entry  *entry
	behind *follower // it has missed something, because too much waited for the loop
}

// stripeCount is how many locks the topics of a Hub share.
const stripeCount = 64

// stripe is a part of the topics.
type stripe struct {
	mu       sync.RWMutex
	topics   map[string]*topic
	aligning sync.Mutex // calls of the Broker that must not overtake each other
}

func (h *Hub) stripe(name string) *stripe {
	return &h.stripes[maphash.String(h.seed, name)%stripeCount]
}

// find returns a topic, nil if it has no subscribers.
func (h *Hub) find(name string) *topic {
	s := h.stripe(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[name]
}

// obtain returns a topic, made if there is none.
func (h *Hub) obtain(name string) (*topic, error) {
	if t := h.find(name); t != nil {
		return t, nil
	}
	options := h.options(name)
	s := h.stripe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[name]; t != nil {
		return t, nil
	}
	if h.closed.Load() { // Close has looked here, or will not find more
		return nil, ErrClosed
	}
	if h.topics.Add(1) > int64(h.limits.topics) {
		h.topics.Add(-1)
		return nil, ErrTooMany
	}
	t := &topic{hub: h, name: name, options: options}
	if options.Interval > 0 {
		t.interval = &interval{t: t}
	}
	if s.topics == nil {
		s.topics = make(map[string]*topic)
	}
	s.topics[name] = t
	return t, nil
}

// interest adds a loop's entry to the topic of that name, and subscribes at the Broker if it is the
// first one.
func (h *Hub) interest(name string, e *entry) error {
	for {
		t, err := h.obtain(name)
		if err != nil {
			return err
		}
		t.mu.Lock()
		if t.gone {
			t.mu.Unlock()
			continue
		}
		e.topic, e.begun, e.loose, e.at, e.newest = t, t.state == begun, t.loose, t.start(), t.newest
		t.interests = append(t.interests, interest{entry: e})
		t.mu.Unlock()
		if e.begun {
			return nil
		}
		return t.join(e)
	}
}

// join makes sure of the broker's subscription for an interest, or ends that. If another loop is
// asking for it just now, it waits for the outcome, which may be an error.
func (t *topic) join(e *entry) (err error) {
	joined := false
	defer func() { // also if the Broker panics
		if !joined {
			t.leave(e)
		}
	}()
	err = t.align()
	joined = err == nil
	return err
}

// lingerTime is how long the broker's subscription stays after the last subscriber has left, so
// that those who come and go do not cost the Broker anything.
const lingerTime = 10 * time.Second

// lingerMax is how many topics may do so: each takes 700 bytes and its name, and a client can
// subscribe to a hundred thousand a second and leave them. Topics whose subscribers have moved to
// another process do so however many they are: that one subscribes to them in a moment, by a link,
// and goes on from a position that must be known here then.
const lingerMax = 32 << 10

// leave ends interest.
func (t *topic) leave(e *entry) {
	if t.disinterest(e) {
		t.align()
	}
}

// disinterest removes the interest of an entry. It reports whether the topic has none left and must
// go at once: the topics that wait for lingerTime take half of MaxTopics at most, so that who
// subscribes to many and leaves them does not keep others from theirs.
func (t *topic) disinterest(e *entry) (goes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(e)
	if i < 0 {
		return false
	}
	t.interests = slices.Delete(t.interests, i, i+1)
	t.moved = t.moved || e.moved
	if len(t.interests) > 0 {
		return false
	}
	t.interests = nil
	t.left = t.hub.clock.Now()
	if t.due {
		return false
	}
	isFull := t.hub.topics.Load() > int64(t.hub.limits.topics/2) || t.hub.lingering.Load() >= lingerMax
	if isFull && !t.moved {
		return true
	}
	t.due = true
	t.hub.lingering.Add(1)
	t.hub.agenda.at(t.left.Add(lingerTime), t.release)
	return false
}

// find returns the index of an entry's interest, -1 if there is none.
func (t *topic) find(e *entry) int {
	return slices.IndexFunc(t.interests, func(i interest) bool { return i.entry == e })
}

// release removes the topic if nobody is interested for long enough.
func (t *topic) release() {
	t.mu.Lock()
	t.due = false
	t.hub.lingering.Add(-1)
	if len(t.interests) > 0 {
		t.mu.Unlock()
		return
	}
	if over := t.left.Add(lingerTime); over.After(t.hub.clock.Now()) {
		t.due = true
		t.hub.lingering.Add(1)
		t.hub.agenda.at(over, t.release)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.align()
}

// align makes the broker's subscription what it should be, and removes the topic if that is none.
func (t *topic) align() error {
	s := t.hub.stripe(t.name)
	s.aligning.Lock()
	defer s.aligning.Unlock()
	t.mu.Lock()
	wanted, have := len(t.interests) > 0, t.state != unknown
	if !wanted && (t.due || t.gone) {
		t.mu.Unlock()
		return nil
	}
	if !wanted {
		t.gone = true
		t.behind = nil
		t.keepNewest(nil)
		t.mu.Unlock()
		s.remove(t)
		t.hub.topics.Add(-1)
		if have {
			t.hub.unsubscribe(t.name)
		}
		return nil
	}
	if t.gone { // by Hub.Close
		t.mu.Unlock()
		return ErrClosed
	}
	if have {
		t.mu.Unlock()
		return nil
	}
	t.state = asked
	t.mu.Unlock()
	return t.subscribe()
}

// subscribe subscribes at the Broker.
func (t *topic) subscribe() (err error) {
	subscribed := false
	defer func() { // also if the Broker panics
		if !subscribed {
			t.mu.Lock()
			t.state = unknown
			t.mu.Unlock()
		}
	}()
	err = t.hub.broker.Subscribe(t.name)
	subscribed = err == nil
	return err
}

func (s *stripe) remove(t *topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[t.name] == t {
		delete(s.topics, t.name)
	}
}

// release unsubscribes all topics, at the end of the Hub.
func (s *stripe) release(h *Hub) {
	s.aligning.Lock()
	defer s.aligning.Unlock()
	s.mu.Lock()
	all := s.topics
	s.topics = nil
	s.mu.Unlock()
	h.topics.Add(-int64(len(all)))
	for len(all) > 0 { // once, unless a Broker calls runtime.Goexit
		isolated("Hub.Close", func() {
			for name, t := range all {
				delete(all, name)
				t.close()
			}
		})
	}
}

// close unsubscribes the topic, at the end of the Hub.
func (t *topic) close() {
	t.mu.Lock()
	have := t.state != unknown && !t.gone
	t.gone = true
	t.keepNewest(nil)
	t.mu.Unlock()
	if have {
		t.hub.unsubscribe(t.name)
	}
}
