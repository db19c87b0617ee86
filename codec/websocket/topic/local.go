package topic

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// local is the Broker of a Hub that is alone. It keeps everything in memory.
type local struct {
	sink     Sink
	options  func(string) Options
	clock    clock
	agenda   agenda
	limit    int // of topics
	seed     maphash.Seed
	epoch    atomic.Uint64
	count    atomic.Int64
	maxBytes int
	bytes    atomic.Int64 // of all histories
	forms    formCache    // besides
	stripes  [stripeCount]localStripe
	presence localPresence
	lending  atomic.Int32 // new processes that take over, and for a while after such
	handed   atomic.Bool  // a new process has everything
}

type localStripe struct {
	mu     sync.RWMutex
	topics map[string]*localTopic
}

// localTopic is a topic with a subscription or a history. Its lock is held while a message is
// delivered, so that all get messages in one order.
type localTopic struct {
	name    string
	options Options

	mu         sync.Mutex
	gone       bool // not in local any more
	subscribed bool
	due        bool // expire is in the agenda
	last       Position
	used       time.Time // when it was published to, or its subscription has ended
	history    history
	counted    int // bytes of history that local.bytes has
	givers     []*giver
	lent       *Options // see keeping
}

func newLocal(c clock, limit, maxBytes int) *local {
	l := &local{clock: c, limit: limit, maxBytes: maxBytes, seed: maphash.MakeSeed()}
	l.agenda.clock = c
	l.forms.most = int64(maxBytes / 2)
	l.epoch.Store(rand.Uint64()) // positions of another process mean nothing here
	return l
}

// Start implements Broker.
func (l *local) Start(sink Sink, options func(string) Options) error {
	l.sink, l.options = sink, options
	return nil
}

func (l *local) close() { l.agenda.close() }

func (l *local) isClosed() bool {
	l.agenda.mu.Lock()
	defer l.agenda.mu.Unlock()
	return l.agenda.closed
}

// len returns the number of topics.
func (l *local) len() int { return int(l.count.Load()) }

func (l *local) stripe(name string) *localStripe {
	return &l.stripes[maphash.String(l.seed, name)%stripeCount]
}

// lock returns a topic with its lock held; nil if there is none, and needed does not make one.
func (l *local) lock(name string, needed func(*Options) bool) (*localTopic, error) {
	return l.lockWith(asker{l.options, l.limit}, name, needed)
}

// asker is who needs a topic: this process's Hub, or another process by a link (see lent).
type asker struct {
	options func(string) Options
	limit   int // of topics
}

func (l *local) lockWith(a asker, name string, needed func(*Options) bool) (*localTopic, error) {
	s := l.stripe(name)
	for {
		if l.handed.Load() {
			return nil, engine.ErrHandedOver
		}
		s.mu.RLock()
		t := s.topics[name]
		s.mu.RUnlock()
		if t == nil {
			if needed == nil {
				return nil, nil
			}
			options := a.options(name)
			if !needed(&options) {
				return nil, nil
			}
			var err error
			if t, err = l.add(s, name, options, a.limit); err != nil {
				return nil, err
			}
		}
		t.mu.Lock()
		if !t.gone {
			return t, nil
		}
		t.mu.Unlock()
	}
}

// add makes a topic.
func (l *local) add(s *localStripe, name string, options Options, limit int) (*localTopic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[name]; t != nil {
		return t, nil
	}
	if l.handed.Load() { // giver.giveAll has looked here, or will not find more
		return nil, engine.ErrHandedOver
	}
	if l.count.Add(1) > int64(limit) {
		l.count.Add(-1)
		return nil, ErrTooMany
	}
	epoch := l.epoch.Add(1)
	if epoch == 0 { // that of the zero Position
		epoch = l.epoch.Add(1)
	}
	t := &localTopic{name: name, options: options, last: Position{Epoch: epoch}}
	if s.topics == nil {
		s.topics = make(map[string]*localTopic)
	}
	s.topics[name] = t
	return t, nil
}

// remove removes a topic, whose lock is held.
func (l *local) remove(t *localTopic) {
	t.gone = true
	t.history.drop(t.history.len())
	l.recount(t)
	s := l.stripe(t.name)
	s.mu.Lock()
	delete(s.topics, t.name)
	s.mu.Unlock()
	l.count.Add(-1)
}

// keep adds a message to the topic's history. If all histories together are too large, this one
// becomes shorter.
func (l *local) keep(t *localTopic, m Message) { l.keepAt(t, m, t.used) }

func (l *local) keepAt(t *localTopic, m Message, at time.Time) {
	m.forms.keep(&l.forms)
	t.history.add(m, at, l.keeping(t))
	for l.recount(t)+l.forms.bytes.Load() > int64(l.maxBytes) && t.history.len() > 0 {
		t.history.drop(1)
	}
}

// recount counts the bytes of the topic's history, and returns those of all.
func (l *local) recount(t *localTopic) int64 {
	change := t.history.bytes - t.counted
	t.counted = t.history.bytes
	return l.bytes.Add(int64(change))
}

// Publish implements Broker.
func (l *local) Publish(name string, op websocket.Opcode, data []byte) error {
	return l.publish(asker{l.options, l.limit}, name, op, data)
}

func (l *local) publish(a asker, name string, op websocket.Opcode, data []byte) error {
	t, err := l.lockWith(a, name, func(o *Options) bool { return o.kept() > 0 })
	if t == nil {
		return err
	}
	defer t.mu.Unlock()
	m := Message{Position: t.last, Prev: t.last.Seq, Op: op, Data: bytes.Clone(data), forms: new(forms)}
	m.Seq++
	t.last = m.Position
	if l.keeping(t).kept() > 0 {
		t.used = l.clock.Now()
		l.keep(t, m)
		l.remind(t)
	}
	if t.subscribed {
		l.sink.Deliver(name, m)
	}
	for _, g := range t.givers {
		g.deliver(name, &m)
	}
	return nil
}

// Subscribe implements Broker.
func (l *local) Subscribe(name string) error {
	return l.subscribe(asker{l.options, l.limit}, name)
}

func (l *local) subscribe(a asker, name string) error {
	t, err := l.lockWith(a, name, func(*Options) bool { return true })
	if err != nil {
		return err
	}
	defer t.mu.Unlock()
	t.subscribed = true
	l.sink.Subscribed(name, t.last)
	return nil
}

// Unsubscribe implements Broker.
func (l *local) Unsubscribe(name string) {
	t, _ := l.lock(name, nil)
	if t == nil {
		return
	}
	defer t.mu.Unlock()
	t.subscribed = false
	l.unused(t)
}

// unused removes a topic, now or later, if nobody has subscribed to it. One that is in the agenda
// stays until then: it would be in memory all the same, and not count. One that had a history only
// because it was lent does not: there may be many, which would be in the way of others.
func (l *local) unused(t *localTopic) {
	switch {
	case t.subscribed || len(t.givers) > 0:
	case t.history.len() == 0 && t.due && l.keeping(t).kept() > 0:
	case t.history.len() == 0:
		l.remove(t)
	default:
		t.used = l.clock.Now()
		l.remind(t)
	}
}

// remind makes the agenda look at what the topic keeps, when the newest message may be too old.
func (l *local) remind(t *localTopic) {
	if !t.due {
		t.due = true
		l.agenda.at(t.used.Add(t.options.HistoryAge), func() { l.expire(t) })
	}
}

// expire forgets what is too old. With Last the newest message stays as long as there are
// subscribers.
func (l *local) expire(t *localTopic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.due = false
	now := l.clock.Now()
	old := !t.used.Add(t.options.HistoryAge).After(now)
	switch {
	case t.gone:
	case !old:
		l.remind(t)
	case t.subscribed || len(t.givers) > 0:
		t.history.expire(now, l.keeping(t))
		l.recount(t)
	default:
		l.remove(t)
	}
}

// History implements Broker.
func (l *local) History(name string, after Position, limit int, done func([]Message, bool, error)) {
	t, err := l.lock(name, nil)
	if t == nil {
		done(nil, after == Position{} && err == nil, err)
		return
	}
	t.history.expire(l.clock.Now(), l.keeping(t))
	l.recount(t)
	msgs, complete := t.history.after(after, t.last, limit)
	t.mu.Unlock()
	done(msgs, complete, nil)
}
