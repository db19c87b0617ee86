package topic

import (
	"math"
	"slices"
	"sync"
	"unsafe"
)

// inbox is what other goroutines have for a shard.
type inbox struct {
	mu      sync.Mutex
	items   []item
	spare   []item // the memory of the items before
	bytes   int    // of items, and of those that the shard has taken and not done
	missing []*entry
	posted  bool // run is posted, or runs
}

// item is something to do for an entry.
type item struct {
	entry *entry
	m     *Message
	more  *more
	cost  int32
	kind  itemKind
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemBegin            // the broker's subscription has begun at more.at; m is the newest message
	itemGap              // more.gap is a gap for all
	itemPresent          // more.joined and more.left
	itemAnswer           // History has answered for one member
)

// more is what few items have.
type more struct {
	at           Position
	gap          Gap
	joined, left []Member
	forms        forms

	follower *follower
	member   *member
	msgs     []Message
	complete bool
	size     int64 // of all messages of the answer; 0: msgs are its rest
}

// itemCost is about the memory of an item without message.
const itemCost = 256

// price returns about the memory of an item. Messages of an answer are counted by asks, so that
// they leave room for others, and so is what a client makes begin: see member.begins.
func (it *item) price() int {
	switch it.kind {
	case itemBegin:
		return 0
	case itemMessage:
		return it.m.cost()
	case itemPresent:
		cost := itemCost
		for _, list := range [...][]Member{it.more.joined, it.more.left} {
			for i := range list {
				cost += int(unsafe.Sizeof(Member{})) + len(list[i].ID) + len(list[i].Info)
			}
		}
		return cost
	}
	return itemCost
}

// push puts an item into the inbox. It reports false if it does not fit. What must not be lost
// always fits, and so does anything in an empty inbox.
func (s *shard) push(it item) bool {
	it.cost = int32(min(it.price(), math.MaxInt32))
	in := &s.inbox
	in.mu.Lock()
	if in.bytes > 0 && in.bytes+int(it.cost) > s.hub.limits.pending && it.kind != itemBegin && it.kind != itemAnswer {
		in.mu.Unlock()
		return false
	}
	if it.kind == itemBegin {
		it.entry.told = true
	}
	in.items = append(in.items, it)
	in.bytes += int(it.cost)
	s.wake()
	return true
}

// wake unlocks the inbox, and posts run unless it is posted.
func (s *shard) wake() {
	post := !s.inbox.posted
	s.inbox.posted = true
	s.inbox.mu.Unlock()
	if post {
		s.post()
	}
}

// post posts run. An error means that the engine has ended.
func (s *shard) post() {
	if s.loop.post(s.runs) != nil {
		s.ended.Store(true)
	}
}

// miss makes the shard call topic.refill when it has done its work.
func (s *shard) miss(e *entry) {
	s.inbox.mu.Lock()
	if !e.missing {
		e.missing = true
		s.inbox.missing = append(s.inbox.missing, e)
	}
	s.wake()
}

// missFirst is miss for an entry whose turn it was: its answer is in memory until it has taken it.
func (s *shard) missFirst(e *entry) {
	s.inbox.mu.Lock()
	if !e.missing {
		e.missing = true
		s.inbox.missing = slices.Insert(s.inbox.missing, 0, e)
	}
	s.wake()
}

// fetch takes what is in the inbox. It reports whether there is anything.
func (s *shard) fetch() bool {
	in := &s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bytes -= s.freed
	s.freed = 0
	clear(s.work)
	s.work, in.items, in.spare = in.items, in.spare[:0], s.work[:0]
	if cap(in.spare) > 1024 { // after a burst
		in.spare = nil
	}
	s.next = 0
	return len(s.work) > 0
}

// takeMissing takes an entry that has missed something, nil if there is none, or if what was missed
// of others is enough to do for this turn.
func (s *shard) takeMissing() *entry {
	in := &s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.missing) == 0 || len(in.items) >= deliveriesMax {
		return nil
	}
	e := in.missing[0]
	in.missing[0] = nil
	if in.missing = in.missing[1:]; len(in.missing) == 0 {
		in.missing = nil
	}
	e.missing = false
	return e
}

// discard drops all that waits, since the Hub is closed.
func (s *shard) discard() {
	s.endFanout()
	s.told, s.asks.waiting, s.late.members = nil, nil, nil
	s.asks.bytes.Store(0)
	in := &s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	in.items, in.spare, in.missing, in.bytes = nil, nil, nil, 0
	s.work, s.next, s.freed = nil, 0, 0
}

// rest ends run: it posts the next one if there is more to do.
func (s *shard) rest() {
	in := &s.inbox
	in.mu.Lock()
	in.bytes -= s.freed
	s.freed = 0
	in.posted = s.fan.entry != nil || s.next < len(s.work) || len(in.items) > 0 || len(in.missing) > 0 ||
		len(s.told) > 0 || len(s.late.members) > 0 || len(s.leaving) > 0 || s.asks.ready()
	more := in.posted
	in.mu.Unlock()
	s.counters.add(&s.tally)
	if more {
		s.post()
		s.leaveIfEnded()
	}
}
