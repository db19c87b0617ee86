package nats

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

const (
	historyWorkers = 16      // requests at a time
	historyQueue   = 1 << 17 // requests that wait
	historyTimeout = 30 * time.Second
)

// historian is the requests of histories.
type historian struct {
	mu      sync.Mutex
	waiting []historyRequest
	workers int
}

type historyRequest struct {
	topic string
	after topic.Position
	limit int
	done  func([]topic.Message, bool, error)
	since time.Time
}

// History implements topic.Broker. After zero, complete says that the newest messages are there.
// It is asked again for up to 30 s if the stream does not answer; then the error is ErrTimeout.
func (b *Broker) History(
	name string, after topic.Position, limit int, done func([]topic.Message, bool, error),
) {
	b.stats.histories.Add(1)
	if limit <= 0 {
		done(nil, false, nil)
		return
	}
	h := &b.history
	h.mu.Lock()
	if len(h.waiting) >= historyQueue || b.ctx.Err() != nil {
		h.mu.Unlock()
		err := errBusy
		if b.ctx.Err() != nil {
			err = topic.ErrClosed
		}
		done(nil, false, err)
		return
	}
	h.waiting = append(h.waiting, historyRequest{name, after, limit, done, time.Now()})
	start := h.workers < historyWorkers
	if start {
		h.workers++
		b.group.Add(1)
	}
	h.mu.Unlock()
	if start {
		go b.work()
	}
}

// work answers requests of histories until there are none.
func (b *Broker) work() {
	defer b.group.Done()
	h := &b.history
	for {
		h.mu.Lock()
		if len(h.waiting) == 0 {
			h.workers--
			h.waiting = nil
			h.mu.Unlock()
			return
		}
		r := h.waiting[0]
		h.waiting[0] = historyRequest{}
		h.waiting = h.waiting[1:]
		h.mu.Unlock()
		if err := b.answerHistory(r); err != nil {
			r.done(nil, false, err)
		}
	}
}

// answerHistory asks for a history until the stream answers, and hands it on, or returns an error
// if it takes too long.
func (b *Broker) answerHistory(r historyRequest) error {
	token, err := escape(r.topic)
	if err != nil {
		return err
	}
	for err = ErrTimeout; time.Since(r.since) < historyTimeout; b.pause(jitter(keepInterval)) {
		if b.ctx.Err() != nil {
			return topic.ErrClosed
		}
		epoch := b.epoch.Load()
		if !b.isSynced() || !b.nc.Load().IsConnected() {
			continue
		}
		var msgs []topic.Message
		var complete bool
		if msgs, complete, err = b.readHistory(r, token, epoch); err != nil {
			continue
		}
		// Messages of another epoch must not be told as those of this one.
		var now mark
		if now, err = b.mark(); err != nil || now.epoch != epoch {
			continue
		}
		if r.after != (topic.Position{}) && r.after.Epoch != epoch {
			msgs = slices.DeleteFunc(msgs, func(m topic.Message) bool { return m.Seq <= lastSeq(now.cut) })
		}
		if b.handOn(&r, token, epoch, msgs, complete) {
			return nil
		}
	}
	return err
}

// handOn answers a request, unless a later epoch has begun. The lock keeps messages of that one
// back until the Sink has the answer: no epoch may come after a later one.
func (b *Broker) handOn(r *historyRequest, token string, epoch uint64, msgs []topic.Message, complete bool) bool {
	s := b.topics.shard(b.subject("out", token))
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.epoch.Load() != epoch {
		return false
	}
	r.done(msgs, complete, nil)
	return true
}

// readHistory asks for a history once.
func (b *Broker) readHistory(r historyRequest, token string, epoch uint64) ([]topic.Message, bool, error) {
	in := b.subject("in", token)
	anything := r.after == topic.Position{}
	if anything && r.limit == 1 {
		a, err := b.get(getRequest{LastFor: in})
		if errors.Is(err, errNotFound) {
			return nil, true, nil
		} else if err != nil {
			return nil, false, err
		}
		msgs, err := unpack(nil, epoch, number(a.msgs[0], headerSequence), 0, a.msgs[0].Data)
		if err != nil { // it is not a Broker's
			return nil, true, nil
		}
		return msgs[len(msgs)-1:], true, nil
	}
	known := r.after.Epoch == epoch
	var from uint64
	if known {
		from = r.after.Seq >> packBits
	}
	packs, err := b.readPacks(in, from, b.seen(token))
	if err != nil {
		return nil, false, err
	}
	complete := false
	if known {
		complete, err = b.reaches(packs, token, from)
	}
	if err != nil {
		return nil, false, err
	}
	var msgs []topic.Message
	prev := uint64(0)
	for _, p := range b.withoutRepeats(packs, token, !anything) {
		seq := number(p, headerSequence)
		// What no Broker has made is passed over: it would take the history away for all.
		msgs, _ = unpack(msgs, epoch, seq, prev, p.Data)
		prev = lastSeq(seq)
	}
	for known && len(msgs) > 0 && msgs[0].Seq <= r.after.Seq {
		msgs = msgs[1:]
	}
	if complete && len(msgs) > 0 {
		msgs[0].Prev = r.after.Seq
	}
	if len(msgs) > r.limit {
		msgs, complete = slices.Clone(msgs[len(msgs)-r.limit:]), false // they may be kept
	}
	return msgs, complete || anything, nil
}

// withoutRepeats removes packs that the topic had before. With delivered, those are also the ones
// that came to this node before the first of packs.
func (b *Broker) withoutRepeats(packs []*nats.Msg, token string, delivered bool) []*nats.Msg {
	var these origins
	out := b.subject("out", token)
	s, now := b.topics.shard(out), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[out]
	return slices.DeleteFunc(packs, func(p *nats.Msg) bool {
		id, seq := p.Header.Get(headerID), number(p, headerSequence)
		return !these.take(id, seq, now) || delivered && t != nil && t.isRepeat(id, seq, now)
	})
}

// seen returns the sequence of the newest message of a topic that is known to be there; 0 if none
// is.
func (b *Broker) seen(token string) uint64 {
	out := b.subject("out", token)
	s := b.topics.shard(out)
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Duration(b.topics.age.Load())
	if t := s.topics[out]; t != nil && (age == 0 || time.Since(t.seenAt) < age/2) {
		return t.seen
	}
	return 0
}

// upToDate reports whether the topic's messages up to a sequence were delivered, no later one, and
// none can have gone since it was known that nothing was missing.
func (b *Broker) upToDate(token string, seq uint64) bool {
	out := b.subject("out", token)
	s := b.topics.shard(out)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[out]
	return t != nil && t.begun && t.last == seq && b.nothingBetween(t)
}

// readPacks returns the topic's messages of NATS from a sequence on. If they do not reach to the
// one that is known to exist, a replica that lags behind has answered: then it fails.
func (b *Broker) readPacks(in string, from, seen uint64) ([]*nats.Msg, error) {
	var packs []*nats.Msg
	for {
		a, err := b.get(getRequest{NextFor: in, Seq: max(from, 1), Batch: askBatch, MaxBytes: askBytes})
		if err != nil && !errors.Is(err, errNotFound) {
			return nil, err
		}
		packs = append(packs, a.msgs...)
		if len(a.msgs) > 0 {
			from = number(a.msgs[len(a.msgs)-1], headerSequence) + 1
		}
		if len(a.msgs) == 0 || !a.more {
			break
		}
	}
	if seen >= from && seen > 0 {
		return nil, errLags
	}
	return packs, nil
}

// reaches reports whether packs are all of the topic from a sequence on. That of the sequence
// itself proves it, as the oldest ones go first. If the position is not one of the topic, because
// the topic was empty, then a message of any topic that is as old proves it, if no limit was
// reached.
func (b *Broker) reaches(packs []*nats.Msg, token string, from uint64) (bool, error) {
	if len(packs) > 0 && number(packs[0], headerSequence) == from {
		return true, nil
	}
	if limit := b.topics.perTopic.Load(); limit > 0 && int64(len(packs)) >= limit {
		return false, nil
	}
	if b.topics.age.Load() == 0 && !b.topics.trimmed.Load() || b.upToDate(token, from) {
		return true, nil
	}
	a, err := b.get(getRequest{Seq: 1, Batch: 3}) // two may be epochs
	if err != nil {
		return false, err
	}
	oldest := uint64(math.MaxUint64)
	for _, m := range a.msgs {
		if m.Header.Get(headerSubject) != b.cfg.prefix+".epoch" {
			oldest = min(oldest, number(m, headerSequence))
		}
	}
	return oldest <= from, nil
}
