package nats

import "sync/atomic"

// Stats are figures of a Broker. Those without a remark count since Start.
type Stats struct {
	Topics          int   // subscribed now
	PendingMessages int   // that wait to be published or acknowledged, now
	PendingBytes    int   // of these
	Published       int64 // messages that Publish has taken
	Stored          int64 // messages that the stream has acknowledged
	Packs           int64 // messages of NATS that carried them
	Resent          int64 // messages of NATS that were sent again
	Failed          int64 // messages that were given up
	Received        int64 // messages delivered to the Sink
	Ignored         int64 // messages of NATS that came twice, late, or before the epoch was known
	Lost            int64 // times that the Sink was told of a loss
	Histories       int64 // requests of a history
	Syncs           int64 // times that a connection was ready for use
	Checks          int64 // checks for messages that did not come
	Resets          int64 // times that the stream was found to have begun anew
}

type counters struct {
	published, stored, packs, resent, failed, received, ignored, lost, histories, syncs, checks,
	resets atomic.Int64
}

// Stats returns figures of the Broker, zeros before Start. It may be called from any goroutine.
func (b *Broker) Stats() Stats {
	b.once.Do(b.init)
	select {
	case <-b.started:
	default: // there is nothing to count yet
		return Stats{}
	}
	c := &b.stats
	s := Stats{
		Topics:    b.topics.count(),
		Published: c.published.Load(),
		Stored:    c.stored.Load(),
		Packs:     c.packs.Load(),
		Resent:    c.resent.Load(),
		Failed:    c.failed.Load(),
		Received:  c.received.Load(),
		Ignored:   c.ignored.Load(),
		Lost:      c.lost.Load(),
		Histories: c.histories.Load(),
		Syncs:     c.syncs.Load(),
		Checks:    c.checks.Load(),
		Resets:    c.resets.Load(),
	}
	s.PendingMessages, s.PendingBytes = b.queue.pending()
	return s
}
