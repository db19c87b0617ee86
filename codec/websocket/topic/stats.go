package topic

import "sync/atomic"

// Stats are figures of a Hub.
type Stats struct {
	Topics        int // that have subscribers or a history
	Subscriptions int
	Pending       int64 // bytes that wait for loops
	History       int64 // bytes of histories, without a Broker
	Published     int64
	Delivered     int64 // messages handed to connections
	Conflated     int64 // not sent, because a newer one was
	Dropped       int64 // not sent to a subscriber, or to a loop; histories may have them
	Gaps          int64 // told to subscribers
	Recovered     int64 // messages taken from histories, for a subscriber, a loop or all
}

// counters are the figures of a shard. Any goroutine may read them.
type counters struct {
	subscriptions, published, delivered, conflated, dropped, gaps, recovered atomic.Int64
}

// tally is what a shard has counted since it has last added it to its counters.
type tally struct{ delivered, conflated, dropped, gaps, recovered int64 }

func (c *counters) add(t *tally) {
	for _, p := range [...]struct {
		to *atomic.Int64
		n  int64
	}{{&c.delivered, t.delivered}, {&c.conflated, t.conflated}, {&c.dropped, t.dropped}, {&c.gaps, t.gaps},
		{&c.recovered, t.recovered}} {
		if p.n != 0 {
			p.to.Add(p.n)
		}
	}
	*t = tally{}
}

// moveTo adds c to another one.
func (c *counters) moveTo(to *counters) {
	to.subscriptions.Add(c.subscriptions.Load())
	to.published.Add(c.published.Load())
	to.add(&tally{c.delivered.Load(), c.conflated.Load(), c.dropped.Load(), c.gaps.Load(), c.recovered.Load()})
}

// Stats returns figures of the Hub. Those that count events never go back. It may be called from
// any goroutine.
func (h *Hub) Stats() Stats {
	h.start()
	var sum counters
	pending := 0
	h.shards.mu.Lock() // a shard that goes is in one of them
	h.retired.moveTo(&sum)
	for _, s := range h.shards.all {
		s.counters.moveTo(&sum)
		s.inbox.mu.Lock()
		pending += s.inbox.bytes
		s.inbox.mu.Unlock()
		pending += int(s.asks.bytes.Load())
	}
	h.shards.mu.Unlock()
	topics, history := int(h.topics.Load()), int64(0)
	if l := h.local(); l != nil {
		topics, history = l.len(), l.bytes.Load()+l.forms.bytes.Load()
	}
	return Stats{
		Topics: topics, Subscriptions: int(sum.subscriptions.Load()), Pending: int64(pending),
		History:   history,
		Published: sum.published.Load(), Delivered: sum.delivered.Load(), Conflated: sum.conflated.Load(),
		Dropped: sum.dropped.Load(), Gaps: sum.gaps.Load(), Recovered: sum.recovered.Load(),
	}
}
