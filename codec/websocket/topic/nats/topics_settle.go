package nats

import (
	"time"
)

// settle asks for the last message of topics that have just been subscribed to.
func (b *Broker) settle() {
	const batch = askTopics
	for b.isSynced() { // otherwise none begins
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
			t.real = ok
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
				sub.last, sub.prev, sub.real, sub.told, sub.seen = at, lastSeq(at), false, at, 0
				sub.origins.reset()
				sub.repeats = nil
				b.lost(sub)
			}
		}
		s.mu.Unlock()
	}
}
