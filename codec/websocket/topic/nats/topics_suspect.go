package nats

import (
	"iter"
	"strings"
	"time"
)

// suspicion is that a message has not come.
type suspicion struct {
	seq  uint64
	when time.Time
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
