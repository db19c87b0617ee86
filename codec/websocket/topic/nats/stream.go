package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dedupeWindow is how long the stream knows the identifiers of messages. Nothing is sent again
// later than that.
const dedupeWindow = 2 * time.Minute

// StreamConfig returns the configuration of the stream that the Broker creates. It may be called
// before Start. A stream made by the operator needs the same Subjects, RePublish, AllowDirect and
// AllowMsgTTL, a Duplicates of 2 min, and room for KeepMessages and one more.
func (b *Broker) StreamConfig() (jetstream.StreamConfig, error) {
	s, err := b.settings()
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	storage := jetstream.MemoryStorage
	if b.File {
		storage = jetstream.FileStorage
	}
	return jetstream.StreamConfig{
		Name:        s.stream,
		Description: "Topics of Myriad",
		Subjects:    []string{s.prefix + ".in.>", s.prefix + ".epoch", s.prefix + ".check.*"},
		Storage:     storage,
		Replicas:    s.replicas,
		Discard:     jetstream.DiscardOld,
		// One more than is promised: a message that is still there proves that nothing after it
		// is gone.
		MaxMsgsPerSubject: int64(s.history) + 1,
		MaxAge:            s.age,
		MaxBytes:          b.KeepBytes,
		Duplicates:        min(dedupeWindow, s.age),
		AllowDirect:       true,
		AllowMsgTTL:       true,
		RePublish: &jetstream.RePublish{
			Source:      s.prefix + ".in.>",
			Destination: s.prefix + ".out.>",
		},
	}, nil
}

// openStream makes sure that the stream is there and can be used.
func (b *Broker) openStream(nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(b.ctx, 2*askTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	want, err := b.StreamConfig()
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && !b.Existing {
		s, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", want.Name, err)
	}
	have := s.CachedInfo().Config
	err = checkStream(have, want)
	if err != nil && !b.Existing {
		s, err = js.UpdateStream(ctx, want)
		if err == nil {
			have = s.CachedInfo().Config
			err = checkStream(have, want)
		}
	}
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", want.Name, err)
	}
	t := &b.topics
	t.age.Store(int64(have.MaxAge))
	t.perTopic.Store(max(have.MaxMsgsPerSubject, 0))
	t.maxMsgSize.Store(int64(max(have.MaxMsgSize, 0)))
	t.trimmed.Store(have.MaxBytes > 0 || have.MaxMsgs > 0)
	return nil
}

// checkStream reports why a stream cannot be used.
func checkStream(have, want jetstream.StreamConfig) error {
	for _, s := range want.Subjects {
		if !slices.Contains(have.Subjects, s) {
			return fmt.Errorf("subject %s is missing", s)
		}
	}
	switch {
	case !have.AllowDirect:
		return errors.New("its AllowDirect is not set")
	case !have.AllowMsgTTL:
		return errors.New("its AllowMsgTTL is not set")
	case have.RePublish == nil || *have.RePublish != *want.RePublish:
		return fmt.Errorf("its RePublish is not %s to %s", want.RePublish.Source, want.RePublish.Destination)
	case have.MaxMsgsPerSubject > 0 && have.MaxMsgsPerSubject < want.MaxMsgsPerSubject:
		return fmt.Errorf("its MaxMsgsPerSubject is less than %d", want.MaxMsgsPerSubject)
	case have.Duplicates < want.Duplicates:
		return fmt.Errorf("its Duplicates is less than %v", want.Duplicates)
	}
	return nil
}

// mark is the epoch of the stream.
type mark struct {
	epoch uint64
	at    uint64 // its sequence
	upTo  uint64 // a sequence that the stream had reached
	// Messages up to cut belong to an epoch before: they may have been delivered. It is 0 if there
	// is none.
	cut uint64
}

// headerCut is that of an epoch that does not begin with the stream. Its value is mark.cut, or 1 if
// that is where the message stands.
const headerCut = "Myriad-Cut"

// mark asks for the epoch of the stream. The epoch is a random number in a message of the stream
// that is never removed, so that it goes when the messages go: see renewEpoch. The time at which
// the stream was created would not do: a stream that a cluster keeps on one server, in memory, is
// empty when that server comes back, and has the same time.
func (b *Broker) mark() (mark, error) {
	subject := b.cfg.prefix + ".epoch"
	for range 3 {
		a, err := b.get(getRequest{LastOf: []string{subject}})
		switch {
		case err == nil && len(a.msgs) == 1:
			k := mark{at: number(a.msgs[0], headerSequence), upTo: a.upTo, cut: number(a.msgs[0], headerCut)}
			k.epoch, err = strconv.ParseUint(string(a.msgs[0].Data), 10, 64)
			if err != nil || k.epoch == 0 {
				return mark{}, fmt.Errorf("nats: the stream has the epoch %q", a.msgs[0].Data)
			}
			if k.cut == 1 {
				k.cut = k.at
			}
			return k, nil
		case err != nil && !errors.Is(err, errNotFound):
			return mark{}, err
		}
		// If it fails because another node has been faster, the next get finds that node's message.
		if err := b.beginEpoch(0); err != nil {
			b.cfg.log.Debug("nats: no new epoch", "error", err)
			b.pause(50 * time.Millisecond)
		}
	}
	return mark{}, ErrTimeout
}

// beginEpoch begins a new epoch, unless that at a sequence of the stream is not the last one.
func (b *Broker) beginEpoch(after uint64) error {
	cut := uint64(0)
	if after != 0 {
		cut = 1
	}
	// At most 2^53, so that peers may take it for a number of JavaScript.
	return b.storeEpoch(1+rand.Uint64N(1<<53-1), after, cut)
}

// storeEpoch stores an epoch, unless the message at a sequence is not the last one.
func (b *Broker) storeEpoch(epoch, after, cut uint64) error {
	m := nats.NewMsg(b.cfg.prefix + ".epoch")
	m.Data = strconv.AppendUint(nil, epoch, 10)
	m.Header.Set(headerExpected, strconv.FormatUint(after, 10))
	m.Header.Set(headerTTL, "never")
	if cut != 0 {
		m.Header.Set(headerCut, strconv.FormatUint(cut, 10))
	}
	_, err := b.store(m)
	return err
}

// renewEpoch stores the epoch again when its message is in the older half of a stream whose size is
// limited: it would go with the oldest messages, and all topics would begin anew.
func (b *Broker) renewEpoch(now mark) {
	if !b.topics.trimmed.Load() {
		return
	}
	a, err := b.get(getRequest{Seq: 1, Batch: 1})
	if err == nil && len(a.msgs) == 0 {
		err = errNotFound
	}
	if err == nil {
		oldest := number(a.msgs[0], headerSequence)
		if now.at-oldest > (now.upTo-oldest)/2 {
			return
		}
		err = b.storeEpoch(now.epoch, now.at, now.cut)
	}
	if err == nil { // there should be one only: see reaches
		m := nats.NewMsg("$JS.API.STREAM.MSG.DELETE." + b.cfg.stream)
		m.Data = fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, now.at)
		_, err = b.ask(m, 1, true)
	}
	if err != nil { // another node may have been faster
		b.cfg.log.Debug("nats: the epoch was not renewed", "error", err)
	}
}

// cutOff begins a new epoch after the stream has lost its newest messages, so that sequences are
// used again.
func (b *Broker) cutOff() error {
	b.cfg.log.Error("nats: the stream has lost its newest messages")
	a, err := b.get(getRequest{LastFor: b.cfg.prefix + ".epoch"})
	if err != nil {
		return err
	}
	if string(a.msgs[0].Data) == strconv.FormatUint(b.epoch.Load(), 10) {
		err = b.beginEpoch(number(a.msgs[0], headerSequence))
	}
	b.synced.Store(0) // sync finds the new one, whoever has begun it
	return err
}

// pause waits, unless the Broker ends.
func (b *Broker) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.ctx.Done():
	}
}
