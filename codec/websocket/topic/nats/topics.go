package nats

import (
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

const (
	shards       = 4    // goroutines that receive, for any number of topics
	shardPending = 4096 // messages of NATS that wait for each of them
)

// topics are those that the node has subscribed to.
type topics struct {
	shards [shards]*shard
	seen   atomic.Uint64 // the highest sequence that has come
	// Limits of the stream.
	age      atomic.Int64 // time.Duration; 0 if there is none
	perTopic atomic.Int64 // messages of NATS; 0 if there is none
	trimmed  atomic.Bool  // also by size, so that messages may be gone before their age
	// When all messages of the stream up to a sequence were known to have come, or were suspects.
	mu        sync.Mutex
	checkedTo uint64
	checkedAt time.Time
}

// shard is the topics that one goroutine receives. The Sink is called with its lock held.
type shard struct {
	in      chan *nats.Msg
	mu      sync.Mutex
	topics  map[string]*subscription // by subject
	suspect map[*subscription]suspicion
	waiting map[*subscription]struct{} // for settle
	msgs    []topic.Message            // reused
}

// subscription is a topic that the node has subscribed to.
type subscription struct {
	topic string
	sub   *nats.Subscription
	begun bool      // the Sink was told Subscribed
	since time.Time // of that
	last  uint64    // sequence of what was delivered last, or where it began
	told  uint64    // sequence up to which a loss was told
	// The newest message that is known to exist, and when that became known.
	seen   uint64
	seenAt time.Time
}

// suspicion is that a message has not come.
type suspicion struct {
	seq  uint64
	when time.Time
}

func (t *topics) init() {
	for i := range t.shards {
		t.shards[i] = &shard{
			in:      make(chan *nats.Msg, shardPending),
			topics:  make(map[string]*subscription),
			suspect: make(map[*subscription]suspicion),
			waiting: make(map[*subscription]struct{}),
		}
	}
}

// shard returns that of a topic, by FNV-1a.
func (t *topics) shard(subject string) *shard {
	h := uint32(2166136261)
	for i := range len(subject) {
		h = (h ^ uint32(subject[i])) * 16777619
	}
	return t.shards[h%shards]
}

// outOf returns the subject on which messages come that are stored on another.
func (b *Broker) outOf(in string) string {
	return b.subject("out", in[len(b.cfg.prefix)+len(".in."):])
}

// Subscribe implements topic.Broker.
func (b *Broker) Subscribe(name string) error {
	return b.enqueue(name, true)
}

// Unsubscribe implements topic.Broker.
func (b *Broker) Unsubscribe(name string) {
	_ = b.enqueue(name, false) // the name was good enough for Subscribe
}

// enqueue gives the keeper something to do.
func (b *Broker) enqueue(name string, subscribe bool) error {
	token, err := escape(name)
	if err != nil {
		return err
	}
	if b.ctx.Err() != nil {
		return topic.ErrClosed
	}
	k := &b.keeper
	k.mu.Lock()
	k.ops = append(k.ops, operation{name, token, subscribe})
	k.mu.Unlock()
	k.wakeUp()
	return nil
}

// subscribeQueued does what Subscribe and Unsubscribe have asked for.
func (b *Broker) subscribeQueued(nc *nats.Conn) {
	k := &b.keeper
	k.mu.Lock()
	ops := k.ops
	k.ops = nil
	k.mu.Unlock()
	for i, op := range ops {
		subject := b.subject("out", op.token)
		s := b.topics.shard(subject)
		if !op.subscribe {
			s.remove(subject)
			b.presence.forget(op.topic)
			continue
		}
		if err := s.add(nc, op.topic, subject); err != nil {
			k.mu.Lock()
			k.ops = append(ops[i:len(ops):len(ops)], k.ops...)
			k.mu.Unlock()
			b.failed("not subscribed", err)
			return
		}
		b.heed(op.topic)
		// A cluster may take a moment to learn of the subscription.
		k.nextCheck = earlier(k.nextCheck, time.Now().Add(time.Second))
	}
}

// heed does what the options of a topic ask for.
func (b *Broker) heed(name string) {
	if b.options == nil {
		return
	}
	o := b.options(name)
	if o.Presence {
		b.presence.follow(name)
	}
	if k := &b.keeper; o.History > b.cfg.history && !k.warned {
		k.warned = true
		b.cfg.log.Warn("nats: a topic's history is longer than what the Broker keeps",
			"topic", name, "history", o.History, "kept", b.cfg.history)
	}
}

// earlier returns the earlier one of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// add subscribes to a topic.
func (s *shard) add(nc *nats.Conn, name, subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[subject] != nil {
		return nil
	}
	// The lock makes the receiver wait until it can find the topic.
	sub, err := nc.ChanSubscribe(subject, s.in)
	if err != nil {
		return err
	}
	t := &subscription{topic: name, sub: sub}
	s.topics[subject] = t
	s.waiting[t] = struct{}{}
	return nil
}

// remove ends the subscription to a topic.
func (s *shard) remove(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[subject]; t != nil {
		delete(s.topics, subject)
		delete(s.suspect, t)
		delete(s.waiting, t)
		_ = t.sub.Unsubscribe() // it fails only if the connection is closed
	}
}

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
		if before == 0 {
			before = seq - 1 // no message of the topic is there
		}
		b.begin(s, t, epoch, before)
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
	} else {
		before = max(before, t.last)
	}
	msgs, err := unpack(s.msgs[:0], epoch, seq, lastSeq(before), m.Data)
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
	t.last = seq
}

// see notes that a message exists.
func (t *subscription) see(seq uint64) {
	if seq > t.seen {
		t.seen, t.seenAt = seq, time.Now()
	}
}

// begin tells the Sink that messages after a sequence follow.
func (b *Broker) begin(s *shard, t *subscription, epoch, at uint64) {
	t.begun, t.last, t.since = true, at, time.Now()
	delete(s.waiting, t)
	b.sink.Subscribed(t.topic, topic.Position{Epoch: epoch, Seq: lastSeq(at)})
}

// lost tells the Sink of a loss.
func (b *Broker) lost(t *subscription) {
	b.stats.lost.Add(1)
	b.sink.Lost(t.topic)
}

// nothingBetween reports whether a message that was the topic's only one when it was stored is the one
// after what was delivered last. Older ones may be gone because of their age, but a message that is younger
// than the last check cannot be gone for that reason.
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

// settle asks for the last message of topics that have just been subscribed to.
func (b *Broker) settle() {
	const batch = askTopics
	for {
		var part []string
		for _, s := range b.topics.shards {
			s.mu.Lock()
			for t := range s.waiting {
				if len(part) == batch {
					break
				}
				part = append(part, b.cfg.prefix+".in."+t.sub.Subject[len(b.cfg.prefix)+len(".out."):])
			}
			s.mu.Unlock()
		}
		if len(part) == 0 {
			return
		}
		if err := b.settlePart(part); err != nil {
			b.failed("no positions of topics", err)
			return
		}
	}
}

// settlePart begins topics at their last messages, or at that of the stream if they have none.
func (b *Broker) settlePart(subjects []string) error {
	mark := b.cfg.prefix + ".epoch" // so that there is an answer in any case
	a, err := b.get(getRequest{LastOf: append(subjects, mark)})
	if err != nil {
		return err
	}
	last := make(map[string]uint64, len(a.msgs))
	for _, m := range a.msgs {
		last[m.Header.Get(headerSubject)] = number(m, headerSequence)
	}
	for _, subject := range subjects {
		at, ok := last[subject]
		if !ok && a.more {
			continue // it is asked for again
		}
		if !ok {
			at = a.upTo
		}
		out := b.outOf(subject)
		s := b.topics.shard(out)
		s.mu.Lock()
		if t := s.topics[out]; t != nil && !t.begun && b.isSynced() {
			b.begin(s, t, b.epoch.Load(), at)
		}
		s.mu.Unlock()
	}
	return nil
}

// reset begins all topics anew, at a sequence of a new epoch.
func (t *topics) reset(b *Broker, at uint64) {
	t.checked(0, time.Time{})
	t.seen.Store(0)
	for _, s := range t.shards {
		s.mu.Lock()
		clear(s.suspect)
		for _, sub := range s.topics {
			if sub.begun {
				sub.last, sub.told, sub.seen = at, at, 0
				b.lost(sub)
			}
		}
		s.mu.Unlock()
	}
}

// suspect notes the last message of a topic, if it has not come yet.
func (t *topics) suspect(subject string, seq uint64) {
	s := t.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.topics[subject]
	if sub == nil || !sub.begun {
		return
	}
	sub.see(seq)
	if seq <= max(sub.last, sub.told) {
		return
	}
	if was, ok := s.suspect[sub]; ok && seq > was.seq {
		s.suspect[sub] = suspicion{seq, was.when}
	} else if !ok {
		s.suspect[sub] = suspicion{seq, time.Now()}
	}
}

// tellSuspects tells the Sink of topics whose messages have not come even after a while.
func (t *topics) tellSuspects(b *Broker, now time.Time) {
	for _, s := range t.shards {
		s.mu.Lock()
		for sub, what := range s.suspect {
			if what.seq <= sub.last {
				delete(s.suspect, sub)
			} else if now.Sub(what.when) > suspectGrace {
				delete(s.suspect, sub)
				sub.told = what.seq
				b.lost(sub)
			}
		}
		s.mu.Unlock()
	}
}

// subjects returns those of all topics that have begun.
func (t *topics) subjects(prefix string) []string {
	var all []string
	for _, s := range t.shards {
		s.mu.Lock()
		for subject, sub := range s.topics {
			if sub.begun {
				all = append(all, prefix+subject[strings.LastIndexByte(subject, '.')+1:])
			}
		}
		s.mu.Unlock()
	}
	return all
}

// checked notes that a check that began at a time has covered the stream up to a sequence.
func (t *topics) checked(upTo uint64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkedTo, t.checkedAt = upTo, at
}

func (t *topics) checkedUpTo() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checkedTo
}

// count returns the number of topics.
func (t *topics) count() int {
	n := 0
	for _, s := range t.shards {
		s.mu.Lock()
		n += len(s.topics)
		s.mu.Unlock()
	}
	return n
}

// unsubscribeAll ends all subscriptions.
func (t *topics) unsubscribeAll() {
	for _, s := range t.shards {
		s.mu.Lock()
		for _, sub := range s.topics {
			_ = sub.sub.Unsubscribe()
		}
		s.mu.Unlock()
	}
}

// chunks yields parts of a slice; one that is empty if the slice is.
func chunks[T any](all []T, size int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for {
			n := min(size, len(all))
			if !yield(all[:n:n]) || n == len(all) {
				return
			}
			all = all[n:]
		}
	}
}
