package topic

import (
	"container/list"
	"sync"
	"time"
)

// historyWait is how long a Broker may take to answer History. Then it counts as not knowing: the
// subscribers have a gap, instead of nothing more.
const historyWait = time.Minute

// questions are the calls of Broker.History that were not answered, the oldest first. One that is
// answered leaves nothing behind, and all together need one appointment: clients can make thousands
// a second, and each refers to its subscriber.
type questions struct {
	mu   sync.Mutex
	open list.List // of *question
	due  bool      // Hub.giveUp is in the agenda
}

type question struct {
	until time.Time
	done  func(msgs []Message, complete bool)
}

// history is Broker.History. done is called once, also if the Broker never answers, or panics.
func (h *Hub) history(name string, after Position, limit int, done func(msgs []Message, complete bool)) {
	q := &h.questions
	q.mu.Lock()
	until := h.clock.Now().Add(historyWait)
	asked := q.open.PushBack(&question{until, done})
	if !q.due {
		q.due = true
		h.agenda.at(until, h.giveUp)
	}
	q.mu.Unlock()
	panicked := guard("History", func() {
		h.broker.History(name, after, limit, func(msgs []Message, complete bool, err error) {
			q.answer(asked, msgs, complete && err == nil)
		})
	})
	if panicked != nil {
		q.answer(asked, nil, false)
	}
}

// answer answers a question, unless it was answered before.
func (q *questions) answer(asked *list.Element, msgs []Message, complete bool) {
	q.mu.Lock()
	a, open := asked.Value.(*question)
	if open {
		q.open.Remove(asked)
		asked.Value = nil // the Broker may keep it for long
	}
	q.mu.Unlock()
	if open {
		a.done(msgs, complete)
	}
}

// giveUp answers the questions for which the Broker has taken too long.
func (h *Hub) giveUp() {
	q, now := &h.questions, h.clock.Now()
	for {
		q.mu.Lock()
		first := q.open.Front()
		if q.due = first != nil; !q.due {
			q.mu.Unlock()
			return
		}
		if until := first.Value.(*question).until; until.After(now) {
			h.agenda.at(until, h.giveUp)
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		q.answer(first, nil, false)
	}
}
