package topic

import (
	"cmp"
	"hash/maphash"
	"math"
	"time"
	"unicode/utf8"

	"github.com/myriadnet/myriad/engine"
)

// limits are the limits of a Hub, with the defaults filled in.
type limits struct{ topics, perConn, name, pending, history int }

// bound returns a limit, or the default. Negative ones are none.
func bound(limit, otherwise int) int {
	if limit < 0 {
		return math.MaxInt32
	}
	return cmp.Or(limit, otherwise)
}

// Start makes the Hub and its Broker ready, as the first use of the Hub does otherwise. The error
// is ErrClosed or the Broker's. Any goroutine may call it.
func (h *Hub) Start() error { return h.start() }

// start makes the Hub ready. It is called by each method that needs that.
func (h *Hub) start() error {
	h.starting.Do(func() {
		h.limits = limits{
			topics: bound(h.MaxTopics, 1<<20), perConn: bound(h.MaxTopicsPerConn, 128),
			name: bound(h.MaxName, 255), pending: bound(h.MaxPending, 16<<20),
			history: bound(h.MaxHistoryBytes, 256<<20),
		}
		h.seed = maphash.MakeSeed()
		if h.clock == nil {
			h.clock = realClock{}
		}
		if h.async == nil {
			h.async = func(f func()) { go f() }
		}
		h.agenda.clock = h.clock
		h.broker = h.Broker
		if h.broker == nil {
			l := newLocal(h.clock, h.limits.topics, h.limits.history)
			h.broker = l
			if h.taken != nil {
				h.broker = newHeir(l, h.taken)
			}
		}
		h.forms = &formCache{most: int64(h.limits.history / 2)}
		if l := h.local(); l != nil {
			h.forms = &l.forms
		}
		h.presence, _ = h.broker.(PresenceBroker)
		h.startErr = errStart // if it calls runtime.Goexit
		panicked := guard("Start", func() { h.startErr = h.broker.Start((*sink)(h), h.options) })
		if panicked != nil {
			h.startErr = panicked
		}
	})
	if h.closed.Load() {
		return ErrClosed
	}
	return h.startErr
}

// Close ends the Hub: its methods return ErrClosed, and what waits is not delivered, nor Gap called
// any more. Only what other loops are just doing goes on. Connections stay open. A Hub that was not
// used before does not start its Broker. Close may be called from any goroutine.
func (h *Hub) Close() {
	h.starting.Do(func() { h.closed.Store(true) })
	if h.closed.Swap(true) {
		return
	}
	h.agenda.close()
	for i := range h.stripes {
		h.stripes[i].release(h)
	}
	if l := h.local(); l != nil {
		l.close()
	}
	if i, ok := h.broker.(*heir); ok { // which would begin anew, but for the line above
		i.link.fail(ErrClosed)
	}
}

// local returns the Hub's own broker, nil if it has another one.
func (h *Hub) local() *local {
	switch b := h.broker.(type) {
	case *local:
		return b
	case *heir:
		return b.local
	}
	return nil
}

// check returns the error of a topic's name.
func (h *Hub) check(name string) error {
	if name == "" || len(name) > h.limits.name || !utf8.ValidString(name) {
		return ErrName
	}
	return nil
}

const (
	defaultHistoryBytes = 1 << 20
	defaultHistoryAge   = 5 * time.Minute
)

// options returns the options of a topic, with the defaults filled in.
func (h *Hub) options(name string) Options {
	if h.Options == nil {
		return Options{}.withDefaults()
	}
	return h.Options(name).withDefaults()
}

func (o Options) withDefaults() Options {
	o.Conflate = o.Conflate || o.Interval > 0
	o.HistoryBytes = cmp.Or(max(o.HistoryBytes, 0), defaultHistoryBytes)
	o.HistoryAge = cmp.Or(max(o.HistoryAge, 0), defaultHistoryAge)
	o.History = max(o.History, 0)
	if o.Slow < 0 || o.Slow >= engine.SlowPolicies {
		o.Slow = engine.SlowWait
	}
	return o
}

// kept returns how many messages a Broker keeps.
func (o *Options) kept() int {
	if o.Last {
		return max(o.History, 1)
	}
	return o.History
}

// asked returns how many messages the Hub asks for when some were lost. A topic that conflates
// needs the newest one: no later message may come to take its place.
func (o *Options) asked() int {
	if o.Conflate {
		return max(o.kept(), 1)
	}
	return o.kept()
}

// keepsNewest reports whether subscribers may be sent the newest message later.
func (o *Options) keepsNewest() bool { return o.Last || o.Conflate }

// drops reports whether the Hub drops messages for subscribers that do not keep up.
func (o *Options) drops() bool {
	return o.Slow == engine.SlowDropNewest || o.Slow == engine.SlowDropOldest
}
