package nats

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// check asks for the last message of every topic, and notes which of them did not come.
func (b *Broker) check() {
	k, start := &b.keeper, time.Now()
	now, err := b.mark()
	if err == nil && now.epoch != b.epoch.Load() {
		b.synced.Store(0) // which makes sync look closer
		k.wakeUp()
		return
	}
	if err == nil {
		b.renewEpoch(now)
		err = b.checkTopics(start)
	}
	if err != nil {
		b.failed("messages could not be checked", err)
		k.checkNow()
		if errors.Is(err, errNobody) { // sync makes the stream anew if it was deleted
			b.synced.Store(0)
		}
		return
	}
	if !b.isSynced() {
		k.wakeUp()
		return
	}
	b.stats.checks.Add(1)
	k.recovered()
	k.nextCheck = start.Add(jitter(b.cfg.check))
	if k.soon {
		// A cluster may have learned of the subscriptions only now.
		k.soon = false
		k.nextCheck = earlier(k.nextCheck, start.Add(time.Second))
	}
}

// checkTopics writes a message to the stream, and then asks for the last messages of all topics and
// that one, in parts: so each part comes from a server that has everything stored before.
func (b *Broker) checkTopics(start time.Time) error {
	mine := b.subject("check", b.node)
	m := nats.NewMsg(mine)
	m.Header.Set(headerTTL, "60s")
	seen := b.topics.seen.Load()
	a, err := b.store(m)
	if err != nil {
		return err
	}
	from := b.topics.checkedUpTo() + 1
	if a.Seq <= max(from-1, seen) {
		return b.cutOff()
	}
	subjects := b.topics.subjects(b.cfg.prefix + ".in.")
	for part := range chunks(subjects, askTopics) {
		if err := b.checkPart(part, mine, from, a.Seq); err != nil {
			return err
		}
	}
	b.topics.checked(a.Seq, start)
	return nil
}

// checkPart checks some topics from a sequence on. The last messages of mine is at upTo.
func (b *Broker) checkPart(subjects []string, mine string, from, upTo uint64) error {
	all := append(subjects[:len(subjects):len(subjects)], mine)
	for range 20 {
		a, err := b.get(getRequest{LastOf: all, Seq: from})
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		for _, m := range a.msgs {
			seq, subject := number(m, headerSequence), m.Header.Get(headerSubject)
			if subject == mine {
				if seq >= upTo {
					return nil
				}
				continue
			}
			b.topics.suspect(b.outOf(subject), seq)
			if a.more {
				from = max(from, seq+1) // the answers come in the order of the stream
			}
		}
		if !a.more {
			b.pause(50 * time.Millisecond) // a replica that lags; another one may answer
		}
	}
	return ErrTimeout
}
