package topic

import (
	"runtime/debug"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// make makes what a fan-out sends to members with a Format.
func (f *fanout) make(format Format) form {
	it, name := &f.item, f.entry.topic.name
	switch {
	case it.kind == itemMessage:
		return it.m.form(name, format)
	case format == nil:
		return form{made: true}
	}
	return it.more.forms.get(format, func() (websocket.Opcode, []byte) {
		if it.kind == itemGap {
			return format.Opcode(), format.Gap(nil, name, it.more.gap)
		}
		return format.Opcode(), format.Present(nil, name, it.more.joined, it.more.left)
	})
}

// deliverCarefully delivers to e.subs[i] if it needs more than a call.
func (s *shard) deliverCarefully(i uint32) {
	f := &s.fan
	e := f.entry
	r := &e.subs[i]
	at := s.slots.all[r.member()]
	if r.id&isClaimed != 0 {
		if _, ok := e.claims[at.member.id]; !ok {
			r.id &^= isClaimed
		}
	}
	switch f.item.kind {
	case itemBegin:
		s.welcomeLate(at, e, i)
	case itemGap:
		switch g := f.item.more.gap; {
		case r.id&isBehind != 0: // it finds out itself
			e.behind[at.member.id].cut = true
		case e.has(at.member, g.Next):
			s.gap(at, e, g)
		default:
			s.sendForm(at, f.form(at.member), engine.SlowWait)
			s.count(at.member, e, g)
		}
	case itemPresent:
		form := f.form(at.member)
		s.sendForm(at, form, presentPolicy(&e.topic.options))
		if form.failed {
			s.gap(at, e, Gap{After: f.before})
		}
	case itemMessage:
		switch {
		case r.id&isBehind != 0:
			s.offer(at, e, i, f.item.m)
		case e.topic.options.Conflate:
			s.conflate(at, e, r, f)
		case f.careful && at.peer.Pressure() == engine.OverHighWater:
			s.fallBehind(at, e, r, f.item.m, f.before)
		default:
			s.sendMessage(at, e, f.item.m, f.form(at.member), f.before)
		}
	}
}

// presentPolicy returns what becomes of Present for a peer that does not keep up. It is not
// dropped.
func presentPolicy(o *Options) engine.SlowPolicy {
	if o.Conflate || o.drops() {
		return engine.SlowClose
	}
	return o.Slow
}

// sendForm sends what a Format has made. An error means that the connection is closing.
func (s *shard) sendForm(to slot, f *form, slow engine.SlowPolicy) {
	if f.prepared != nil {
		s.sendPrepared(to, f.prepared, slow)
	}
}

// sendMessage sends a message, whatever the Pressure is, unless the subscriber has it.
func (s *shard) sendMessage(to slot, e *entry, m *Message, f *form, before Position) {
	if !s.take(to, e, m) {
		return
	}
	slow := e.topic.options.Slow
	if e.topic.options.drops() {
		slow = engine.SlowWait
	}
	switch {
	case f.failed:
		s.gap(to, e, Gap{After: before})
	case f.prepared != nil && s.sendPrepared(to, f.prepared, slow) == nil:
		s.tally.delivered++
	}
}

// sendAlone is sendMessage outside of a fan-out.
func (s *shard) sendAlone(to slot, e *entry, m *Message, before Position) {
	f := m.form(e.topic.name, s.formats[to.member.format].Format)
	s.countMade(&f)
	s.sendMessage(to, e, m, &f, before)
	m.forms.settle()
}

// conflate sends the fan-out's message, or only notes that there is a newer one for later.
func (s *shard) conflate(to slot, e *entry, r *sub, f *fanout) {
	if to.peer.Pressure() != engine.Sent {
		if r.id&isPending != 0 {
			s.tally.conflated++
		} else {
			r.id |= isPending
			to.member.waits++
		}
		return
	}
	if r.id&isPending != 0 {
		s.tally.conflated++
		r.id &^= isPending
		to.member.waits--
	}
	s.sendMessage(to, e, f.item.m, f.form(to.member), f.before)
}

// fallBehind drops a message for a subscriber, until the peer has caught up.
func (s *shard) fallBehind(to slot, e *entry, r *sub, m *Message, at Position) {
	b := &follower{at: at, waits: true}
	to.member.waits++
	s.setBehind(e, r, b)
	s.keep(e, b, m)
	to.member.hold(b)
}

func (s *shard) setBehind(e *entry, r *sub, f *follower) {
	if e.behind == nil {
		e.behind = make(map[uint32]*follower)
	}
	e.behind[r.member()] = f
	r.id |= isBehind
}

// keep counts a message as dropped, unless it is kept for SlowDropOldest.
func (s *shard) keep(e *entry, f *follower, m *Message) {
	if o := &e.topic.options; o.Slow == engine.SlowDropOldest && o.kept() == 0 {
		s.tally.dropped += int64(f.keep(m))
	} else {
		s.tally.dropped++
	}
}

// gap tells one subscriber of a gap.
func (s *shard) gap(to slot, e *entry, g Gap) {
	if e.has(to.member, g.Next) { // it will not be sent
		g.Next = Position{}
	}
	if f := s.formats[to.member.format].Format; f != nil {
		s.sendTo(to, f, func() []byte { return f.Gap(nil, e.topic.name, g) })
	}
	s.count(to.member, e, g)
}

// count counts a gap, and tells the user of it later: see run.
func (s *shard) count(m *member, e *entry, g Gap) {
	s.tally.gaps++
	if s.hub.Gap == nil {
		return
	}
	s.told = append(s.told, told{m, e.topic.name, g})
	if len(s.told) == 1 {
		s.inbox.mu.Lock()
		s.wake()
	}
}

// sendTo sends what a Format makes for one connection. If it panics, that one closes.
func (s *shard) sendTo(to slot, f Format, make func() []byte) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover() // also if the connection is closed, and leaves its topics
		if c := to.member.conn; c != nil {
			c.EngineConn().CloseWith(&engine.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	if b := make(); b != nil {
		to.peer.Send(f.Opcode(), b)
	}
	returned = true
}

// dropped counts what a loop does not get. It may be called from any goroutine.
func (s *shard) dropped(it item) {
	if it.kind == itemMessage {
		s.hub.retired.dropped.Add(1)
	}
}
