package nats

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

const (
	shards       = 4    // goroutines that receive, for any number of topics
	shardPending = 4096 // messages of NATS that wait for each of them

	opsBytes = 32 << 20 // Subscribe fails if as much waits for the keeper
)

// topics are those that the node has subscribed to.
type topics struct {
	shards [shards]*shard
	seen   atomic.Uint64 // the highest sequence that has come
	// Limits of the stream.
	age      atomic.Int64 // time.Duration; 0 if there is none
	perTopic atomic.Int64 // messages of NATS; 0 if there is none
	trimmed  atomic.Bool  // also by size, so that messages may be gone before their age
	// Bytes of a message of NATS; 0 if there is no limit.
	maxMsgSize atomic.Int64
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
	last  uint64    // sequence of what came last, or where it began
	prev  uint64    // Seq of what was delivered last: before last, if that was a repeat
	real  bool      // there was a message of the topic at last
	told  uint64    // sequence up to which a loss was told
	// The newest message that is known to exist, and when that became known.
	seen   uint64
	seenAt time.Time
	// What is known of packs that are stored twice.
	origins origins
	repeats []uint64 // sequences of the latest ones
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
	op := operation{name, token, subscribe}
	full := subscribe && k.bytes > opsBytes
	if !full {
		k.ops = append(k.ops, op)
		k.bytes += op.cost()
	}
	k.mu.Unlock()
	if full {
		return errBusy
	}
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
	for part := range slices.Chunk(ops, 256) {
		done, bytes := 0, 0
		var err error
		for done < len(part) && err == nil {
			if err = b.carryOut(nc, &part[done]); err == nil {
				bytes += part[done].cost()
				done++
			}
		}
		k.mu.Lock()
		k.bytes -= bytes
		clear(part[:done])
		if err != nil {
			rest := slices.DeleteFunc(ops, func(op operation) bool { return op.topic == "" })
			k.ops = append(rest, k.ops...)
		}
		k.mu.Unlock()
		if err != nil {
			b.failed("not subscribed", err)
			return
		}
	}
}

// carryOut does a Subscribe or Unsubscribe.
func (b *Broker) carryOut(nc *nats.Conn, op *operation) error {
	subject := b.subject("out", op.token)
	s := b.topics.shard(subject)
	if !op.subscribe {
		s.remove(subject)
		if b.keeper.followed[op.topic] {
			delete(b.keeper.followed, op.topic)
			b.presence.forget(op.topic)
		}
		return nil
	}
	if err := s.add(nc, op.topic, subject); err != nil {
		return err
	}
	b.heed(op.topic)
	// A cluster may take a moment to learn of the subscription.
	b.keeper.nextCheck = earlier(b.keeper.nextCheck, time.Now().Add(time.Second))
	return nil
}

// heed does what the options of a topic ask for.
func (b *Broker) heed(name string) {
	if b.options == nil {
		return
	}
	var o topic.Options
	b.call("Options", func() { o = b.options(name) })
	if o.Presence {
		b.keeper.followed[name] = true
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
