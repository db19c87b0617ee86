package topic

import (
	"runtime/debug"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// deliveriesMax is how many deliveries a shard makes before other connections of the loop have
// their turn. Large messages count as more of them: one for each sentCost bytes that are sent,
// which may have to be encrypted, and one for each madeCost bytes that are formatted or compressed
// first.
const (
	deliveriesMax = 64
	madeCost      = heldBytesMax / deliveriesMax
	sentCost      = 32 * madeCost
)

// fanout is an item on its way to all subscriptions of its entry. These are in three regions:
//
//	subs[:next]     have got it
//	subs[next:end]  will get it
//	subs[end:]      have come since it began, and do not get it
//
// A subscription that ends leaves a hole, which is filled from the end of its region, and so on up
// to the end of all. So nobody gets it twice, and nobody misses it.
type fanout struct {
	entry     *entry // nil: there is no fan-out
	item      item
	next, end uint32
	before    Position // entry.at when it began
	forms     []form   // by format
	careful   bool     // Conflate, or what is sent may be dropped
	slow      engine.SlowPolicy
}

// told is a gap that Hub.Gap is to be called for.
type told struct {
	member *member
	topic  string
	gap    Gap
}

// run is the task that a shard posts to its loop, one at a time.
func (s *shard) run() {
	defer s.rest() // also if a callback panics
	s.extra = 0    // what Subscribe has sent is not of this turn
	budget := deliveriesMax
	s.leaveSome(&budget)
	s.serveLate(&budget)
	for ; budget > 0; budget-- {
		if s.hub.closed.Load() {
			s.discard()
			return
		}
		budget -= s.takeExtra()
		if s.asks.ready() {
			s.askNext()
		}
		if s.fan.entry != nil {
			s.deliver(&budget)
			continue
		}
		if s.next == len(s.work) && !s.fetch() {
			s.takeMissed()
			break
		}
		it := &s.work[s.next]
		s.next++
		s.freed += int(it.cost)
		budget -= s.begin(it)
		*it = item{}
	}
	s.tell()
}

// takeMissed looks at entries that have missed something, as many as one turn has time for.
func (s *shard) takeMissed() {
	for range deliveriesMax {
		e := s.takeMissing()
		if e == nil {
			return
		}
		e.topic.refill(e)
	}
}

// begin begins with an item. It returns how many deliveries that was worth.
func (s *shard) begin(it *item) int {
	e := it.entry
	switch it.kind {
	case itemAnswer:
		return s.answered(e, it.more)
	case itemBegin:
		e.began()
	}
	if len(e.subs) == 0 {
		return s.skip()
	}
	f := fanout{entry: e, item: *it, end: uint32(len(e.subs)), before: e.at, forms: s.fan.forms[:0]}
	switch it.kind {
	case itemMessage:
		e.at, e.loose, e.cut = it.m.Position, false, false
		if e.topic.options.keepsNewest() {
			e.newest = it.m
		}
		f.careful = e.topic.options.Conflate || e.topic.options.drops()
		f.slow = e.topic.options.Slow
	case itemBegin:
		e.begun, e.at, e.newest, f.careful = true, it.more.at, it.m, true
	case itemGap:
		f.careful, e.cut = true, true
		next := it.more.gap.Next
		e.loose = next == (Position{})
		if !e.loose {
			e.at = next.before() // nobody asks for what is missing
		}
	default:
		f.careful = true
	}
	s.fan = f
	return 0
}

// skip passes over an item that nobody waits for any more. It costs next to nothing: sixteen count
// as a delivery.
func (s *shard) skip() int {
	if s.skipped++; s.skipped%16 == 0 {
		return 0
	}
	return -1 // run counts one for each item
}

// deliver delivers to subscriptions as long as there is a budget.
func (s *shard) deliver(budget *int) {
	f := &s.fan
	e := f.entry
	for ; *budget > 0 && f.next < f.end; *budget -= 1 + s.takeExtra() {
		r := e.subs[f.next]
		f.next++
		if f.careful || r.id&special != 0 {
			s.deliverCarefully(f.next - 1)
			continue
		}
		at := s.slots.all[r.id]
		form := f.form(at.member)
		if form.prepared == nil {
			if form.failed {
				s.gap(at, e, Gap{After: f.before})
			}
			continue
		}
		if s.sendPrepared(at, form.prepared, f.slow) == nil {
			s.tally.delivered++
		}
	}
	if f.next == f.end {
		if f.item.kind == itemMessage {
			f.item.m.forms.settle()
		}
		s.fan = fanout{forms: f.forms[:0]}
		clear(f.forms[:cap(f.forms)])
	}
}

// sendPrepared sends what a Format has made, and counts what that costs besides one delivery.
func (s *shard) sendPrepared(to slot, p *websocket.Prepared, slow engine.SlowPolicy) error {
	_, data := p.Message()
	if len(data) < madeCost {
		return to.peer.SendPrepared(p, slow)
	}
	before := p.Size()
	err := to.peer.SendPrepared(p, slow)
	s.extra += len(data) / sentCost
	if p.Size() != before { // it was compressed for this one
		s.extra += len(data) / madeCost
	}
	return err
}

// takeExtra returns what has cost more than was counted, in deliveries.
func (s *shard) takeExtra() int {
	n := s.extra
	s.extra = 0
	return n
}

// endFanout ends a fan-out, which not all may have got.
func (s *shard) endFanout() {
	if s.fan.entry != nil && s.fan.item.kind == itemMessage {
		s.fan.item.m.forms.settle()
	}
	s.fan = fanout{}
}

// form returns the item's message as a member's Format makes it.
func (f *fanout) form(m *member) *form {
	s := m.shard
	for len(f.forms) < len(s.formats) {
		f.forms = append(f.forms, form{})
	}
	made := &f.forms[m.format]
	if !made.made {
		*made = f.make(s.formats[m.format].Format)
		s.countMade(made)
	}
	return made
}

// countMade counts what it has cost to make a form.
func (s *shard) countMade(f *form) {
	if f.fresh && f.prepared != nil {
		_, data := f.prepared.Message()
		s.extra += len(data) / madeCost
	}
}

// tell calls Hub.Gap for what was told.
func (s *shard) tell() {
	for range len(s.told) { // what Gap makes is told in the next turn
		if s.hub.closed.Load() { // Gap may have closed it
			s.discard()
			return
		}
		t := s.told[0]
		if s.told = s.told[1:]; len(s.told) == 0 {
			s.told = nil
		}
		if c := t.member.conn; c != nil {
			s.callGap(c, t)
		}
	}
}

// callGap calls Hub.Gap. If it panics, the connection closes, as with the engine's callbacks.
func (s *shard) callGap(c *websocket.Conn, t told) {
	returned := false
	defer func() {
		if !returned { // with runtime.Goexit as well, after which the loop goes on
			c.EngineConn().CloseWith(&engine.PanicError{Value: recover(), Stack: debug.Stack()})
		}
	}()
	s.hub.Gap(c, t.topic, t.gap)
	returned = true
}
