package nats

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// receive delivers what comes for the topics of a shard.
func (b *Broker) receive(s *shard) {
	for {
		select {
		case m := <-s.in:
			b.received(s, m)
		case <-b.ctx.Done():
			return
		}
	}
}

// received delivers one message of NATS.
func (b *Broker) received(s *shard, m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch := b.epoch.Load()
	t := s.topics[m.Subject]
	if t == nil || t.sub != m.Sub || b.ctx.Err() != nil {
		return
	}
	// Before the epoch is known, messages might belong to another one. Check finds them later.
	if !b.isSynced() {
		b.stats.ignored.Add(1)
		return
	}
	seq, before := number(m, headerSequence), number(m, headerLast)
	if seq == 0 || before >= seq {
		return // not from the stream
	}
	if !t.begun {
		t.real = before != 0
		if !t.real {
			before = seq - 1 // no message of the topic is there
		}
		b.begin(s, t, epoch, before)
	}
	if seq > t.last && b.isForeign(t, before) {
		b.cfg.log.Warn("nats: a message does not follow the one before", "topic", t.topic)
		b.stats.ignored.Add(1)
		b.synced.Store(0) // check finds the message again, in whatever epoch it is
		b.keeper.wakeUp()
		return
	}
	t.see(seq)
	for was := b.topics.seen.Load(); seq > was; was = b.topics.seen.Load() {
		if b.topics.seen.CompareAndSwap(was, seq) {
			break
		}
	}
	if seq <= t.last {
		b.stats.ignored.Add(1)
		return
	}
	if before == 0 && !b.nothingBetween(t) {
		b.lost(t)
		t.prev = 0
	} else if before > t.last {
		t.prev = lastSeq(before) // the Sink notices that it has missed that one
	}
	t.last, t.real = seq, true
	if t.isRepeat(m.Header.Get(headerID), seq, t.seenAt) {
		b.cfg.log.Warn("nats: the stream has a message twice", "topic", t.topic)
		b.stats.ignored.Add(1)
		return
	}
	b.deliver(s, t, epoch, seq, m.Data)
}

// deliver gives the Sink the messages of a pack.
func (b *Broker) deliver(s *shard, t *subscription, epoch, seq uint64, data []byte) {
	msgs, err := unpack(s.msgs[:0], epoch, seq, t.prev, data)
	if err != nil {
		b.cfg.log.Warn("nats: bad message of a topic", "topic", t.topic, "error", err)
		return
	}
	for i := range msgs {
		b.sink.Deliver(t.topic, msgs[i])
	}
	b.stats.received.Add(int64(len(msgs)))
	clear(msgs)
	s.msgs = msgs[:0]
	t.prev = lastSeq(seq)
}

// isForeign reports whether a message is of another stream than what was delivered last: before,
// the sequence of the topic's message before it, passes over one that cannot be gone. A stream may
// begin anew without the connection being lost, on another server of a cluster.
func (b *Broker) isForeign(t *subscription, before uint64) bool {
	if before >= t.last || !t.real {
		return false
	}
	age := time.Duration(b.topics.age.Load())
	return before != 0 || t.seen == t.last && !b.topics.trimmed.Load() && (age == 0 || time.Since(t.seenAt) < age/2)
}

// see notes that a message exists.
func (t *subscription) see(seq uint64) {
	if seq > t.seen {
		t.seen, t.seenAt = seq, time.Now()
	}
}

// begin tells the Sink that messages after a sequence follow.
func (b *Broker) begin(s *shard, t *subscription, epoch, at uint64) {
	t.begun, t.last, t.prev, t.since = true, at, lastSeq(at), time.Now()
	delete(s.waiting, t)
	b.sink.Subscribed(t.topic, topic.Position{Epoch: epoch, Seq: lastSeq(at)})
}

// lost tells the Sink of a loss.
func (b *Broker) lost(t *subscription) {
	b.stats.lost.Add(1)
	b.sink.Lost(t.topic)
}

// nothingBetween reports whether a message that was the topic's only one when it was stored is
// the one after what was delivered last. Older ones may be gone because of their age, but a
// message that is younger than the last check cannot be gone for that reason.
func (b *Broker) nothingBetween(t *subscription) bool {
	b.topics.mu.Lock()
	at := b.topics.checkedAt
	b.topics.mu.Unlock()
	if t.since.After(at) {
		at = t.since
	}
	age := time.Duration(b.topics.age.Load())
	return !b.topics.trimmed.Load() && (age == 0 || time.Since(at) < age/2)
}

// slow tells of a loss after nats.go had to drop messages. It reports whether the subscription is
// one of a topic.
func (b *Broker) slow(sub *nats.Subscription) bool {
	s := b.topics.shard(sub.Subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[sub.Subject]
	if t == nil || t.sub != sub {
		return b.presence.slow(sub)
	}
	if t.begun && b.ctx.Err() == nil {
		b.lost(t)
	}
	return true
}
