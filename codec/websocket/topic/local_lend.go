package topic

import (
	"math"
	"slices"
	"time"
)

// While a new process takes over, every topic has a history: a connection that moves misses what is
// published while neither process has it, and gets that from the history in the new one.
const (
	lentMessages = 1000
	lentBytes    = 1 << 20
	lentTime     = 10 * time.Second // how long the new process keeps what it got by this
)

// lend begins that all topics have a history.
func (l *local) lend() { l.lending.Add(1) }

// endLending ends lend.
func (l *local) endLending() {
	if l.lending.Add(-1) > 0 {
		return
	}
	for i := range l.stripes {
		for _, t := range l.stripes[i].list() {
			t.mu.Lock()
			if !t.gone && t.options.kept() == 0 {
				t.history.drop(t.history.len())
				l.recount(t)
				l.unused(t)
			}
			t.mu.Unlock()
		}
	}
}

// lent is who asks by a link. What it subscribes to is one of the topics of its Hub, which has
// limited them: nobody would tell its subscribers that there are too many here.
func (l *local) lent() asker { return asker{l.guardedOptions, math.MaxInt} }

// guardedOptions is options for the goroutines of a link, which must go on. If Hub.Options panics,
// the topic is a live feed.
func (l *local) guardedOptions(name string) Options {
	o := Options{}.withDefaults()
	isolated("Hub.Options", func() { o = l.options(name) })
	return o
}

// list returns the topics of a stripe.
func (s *localStripe) list() (all []*localTopic) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.topics {
		all = append(all, t)
	}
	return all
}

// keeping returns the options for the topic's history.
func (l *local) keeping(t *localTopic) *Options {
	if l.lending.Load() == 0 {
		return &t.options
	}
	if t.lent == nil {
		o := t.options
		o.History = max(o.History, lentMessages)
		o.HistoryBytes = max(o.HistoryBytes, lentBytes)
		t.lent = &o
	}
	return t.lent
}

// leave ends that the process of g gets the topic's messages. Its lock is held.
func (l *local) leave(t *localTopic, g *giver) {
	t.givers = slices.DeleteFunc(t.givers, func(o *giver) bool { return o == g })
	l.unused(t)
}

// install adds a topic of the old process. Nothing uses the broker yet. The topic stays for
// lentTime at least: its subscribers may be on their way still, and must find the position that
// they have.
func (l *local) install(name string, last Position, used time.Time) *localTopic {
	t := &localTopic{name: name, options: l.guardedOptions(name), last: last, used: used}
	if least := l.clock.Now().Add(lentTime - t.options.HistoryAge); used.Before(least) {
		t.used = least
	}
	s := l.stripe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics == nil {
		s.topics = make(map[string]*localTopic)
	}
	s.topics[name] = t
	l.count.Add(1)
	return t
}

// clear forgets all topics.
func (l *local) clear() {
	for i := range l.stripes {
		for _, t := range l.stripes[i].list() {
			t.mu.Lock()
			l.remove(t)
			t.mu.Unlock()
		}
	}
	l.presence.mu.Lock()
	defer l.presence.mu.Unlock()
	l.presence.all = nil
}

// remindAll makes the agenda look at all topics that were installed.
func (l *local) remindAll() {
	for i := range l.stripes {
		for _, t := range l.stripes[i].list() {
			t.mu.Lock()
			if !t.subscribed || t.history.len() > 0 {
				l.remind(t)
			}
			t.mu.Unlock()
		}
	}
}
