package topic

import (
	"encoding/binary"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// simFormat tells everything in bytes: what it is, the number of the topic, positions.
type simFormat struct{}

const (
	simMessage    = 'm'
	simSubscribed = 's'
	simGap        = 'g'
	simPresent    = 'p'
)

func (simFormat) Opcode() websocket.Opcode { return websocket.Binary }

func simEvent(dst []byte, kind byte, name string, at ...Position) []byte {
	dst = append(dst, kind, name[1])
	for _, p := range at {
		dst = binary.BigEndian.AppendUint64(dst, p.Epoch)
		dst = binary.BigEndian.AppendUint64(dst, p.Seq)
	}
	return dst
}

func (simFormat) Message(dst []byte, name string, m *Message) []byte {
	return simEvent(dst, simMessage, name, m.Position)
}

func (simFormat) Subscribed(dst []byte, name string, at Position) []byte {
	return simEvent(dst, simSubscribed, name, at)
}

func (simFormat) Gap(dst []byte, name string, g Gap) []byte {
	return simEvent(dst, simGap, name, g.After, g.Next)
}

func (simFormat) Present(dst []byte, name string, joined, left []Member) []byte {
	return simEvent(dst, simPresent, name)
}

// simPeer is a connection. It checks what it is sent.
type simPeer struct {
	node   *simNode
	loop   *simLoop
	member *member
	id     int
	slow   bool // what it is sent waits
	queue  int
	over   bool // above the high watermark
	closed bool
	subs   map[string]*simSub
	seen   map[string]Position // of the client, also on connections before
}

// simSub is what a peer knows of a subscription.
type simSub struct {
	told bool // of the position
	at   Position
	gap  *Gap

	after Position          // that it has subscribed with
	got   map[Position]bool // messages since then
}

func (w *world) connect(n *simNode) {
	l, _ := pick(w, n.loops)
	w.loops++
	p := &simPeer{node: n, loop: l, id: w.loops, subs: map[string]*simSub{}, seen: map[string]Position{}}
	from, _ := pick(w, w.nodes)
	if q, ok := pick(w, from.peers); ok { // a client that comes back
		for name, at := range q.seen {
			p.seen[name] = at
		}
	}
	n.peers = append(n.peers, p)
}

func (p *simPeer) subscribe(name string) {
	if p.subs[name] != nil {
		return
	}
	h := p.node.hub
	if err := h.start(); err != nil {
		p.node.w.fail("start: %v", err)
	}
	if p.member == nil {
		p.member = h.shard(shardKey{loop: p.loop.key}, p.loop).join(p, h.Format)
	}
	var sc SubscribeConfig
	if at, ok := p.seen[name]; p.node.w.one(2) {
		sc.Recover = true
		if ok {
			sc.After = at
		}
	}
	if p.node.w.one(3) {
		sc.Member = &Member{ID: string('a' + rune(p.id%3))}
	}
	p.node.w.note("peer %d subscribes to %s, recover %v after %v", p.id, name, sc.Recover, sc.After)
	p.subs[name] = &simSub{after: sc.After, got: map[Position]bool{}}
	if err := p.member.shard.subscribe(p.member, name, &sc); err != nil {
		delete(p.subs, name)
	}
}

func (p *simPeer) unsubscribe(name string) {
	if p.subs[name] == nil {
		return
	}
	s := p.member.shard
	s.remove(p.member, s.find(p.member, s.names[name]))
	p.node.w.note("peer %d unsubscribes from %s", p.id, name)
	delete(p.subs, name)
}

func (p *simPeer) close() {
	p.node.w.note("peer %d closes", p.id)
	p.closed = true
	if p.member != nil {
		p.member.Closed(nil, nil)
	}
	p.subs = nil
	for i, q := range p.node.peers {
		if p == q {
			p.node.peers = append(p.node.peers[:i], p.node.peers[i+1:]...)
			return
		}
	}
}

// drain makes the peer take all that waits.
func (p *simPeer) drain() bool {
	if p.queue == 0 {
		return false
	}
	p.queue, p.over = 0, false
	if p.member != nil {
		p.member.Flushed(nil)
	}
	return true
}

func (p *simPeer) Pressure() engine.Pressure {
	switch {
	case p.over:
		return engine.OverHighWater
	case p.queue > 0:
		return engine.Queued
	}
	return engine.Sent
}

func (p *simPeer) Send(_ websocket.Opcode, data []byte) (engine.Pressure, error) {
	p.receive(data)
	return p.Pressure(), nil
}

func (p *simPeer) SendPrepared(m *websocket.Prepared, slow engine.SlowPolicy) error {
	_, data := m.Message()
	p.receive(data)
	return nil
}

// receive checks the rules.
func (p *simPeer) receive(b []byte) {
	w := p.node.w
	if p.closed {
		w.fail("peer %d is closed", p.id)
	}
	name := "t" + string(b[1])
	o := w.rules[name]
	var at [2]Position
	for i := 0; 2+16*i < len(b); i++ {
		at[i] = Position{binary.BigEndian.Uint64(b[2+16*i:]), binary.BigEndian.Uint64(b[10+16*i:])}
	}
	w.note("peer %d: %c %s %v", p.id, b[0], name, at)
	s := p.subs[name]
	switch {
	case s == nil:
		w.fail("peer %d gets %c of %s, to which it has not subscribed", p.id, b[0], name)
	case !s.told && b[0] != simSubscribed, s.told && b[0] == simSubscribed:
		w.fail("peer %d gets %c of %s at the wrong time", p.id, b[0], name)
	}
	switch b[0] {
	case simSubscribed:
		s.told, s.at = true, at[0]
	case simGap:
		p.gap(name, s, Gap{at[0], at[1]})
	case simMessage:
		pressure := p.Pressure()
		if pressure == engine.OverHighWater && o.drops() && !o.Conflate || pressure != engine.Sent && o.Conflate {
			w.fail("peer %d gets a message of %s under pressure", p.id, name)
		}
		p.message(name, s, at[0])
	}
	if p.slow {
		p.queue++
		p.over = p.over || p.queue > 4
	}
}

func (p *simPeer) gap(name string, s *simSub, g Gap) {
	w := p.node.w
	switch {
	case g.After != s.at && !w.rules[name].Conflate && s.at != Position{} && s.gap == nil:
		w.fail("peer %d is told of a gap %v of %s, and is at %v", p.id, g, name, s.at)
	case w.rules[name].Presence && p.node.hub.MaxPending > 0: // somebody joined unnoticed
	case w.rules[name].Conflate:
		w.fail("peer %d is told of a gap in %s, which conflates", p.id, name)
	case w.whole:
		w.fail("peer %d is told of a gap %v of %s, which has all its history", p.id, g, name)
	}
	s.gap = &g
}

func (p *simPeer) message(name string, s *simSub, at Position) {
	w := p.node.w
	conflated := w.rules[name].Conflate || w.local
	switch {
	case s.got[at], at.isUpTo(s.after):
		w.fail("peer %d gets %v of %s twice: it has subscribed after %v", p.id, at, name, s.after)
	case at.Epoch == s.at.Epoch && at.Seq <= s.at.Seq:
		w.fail("peer %d is at %v of %s, and gets %v", p.id, s.at, name, at)
	case s.at == Position{}, w.rules[name].Conflate:
	case s.gap != nil && s.gap.Next != Position{} && s.gap.Next != at:
		w.fail("peer %d was told of %v in %s, and gets %v", p.id, s.gap, name, at)
	case s.gap != nil:
	case at.Epoch != s.at.Epoch:
		w.fail("peer %d gets another epoch of %s without a gap: %v after %v", p.id, name, at, s.at)
	case conflated && at.Seq != s.at.Seq+1, !conflated && w.logs[name].truth[at] > s.at.Seq:
		w.fail("peer %d misses something of %s between %v and %v", p.id, name, s.at, at)
	}
	s.at, s.gap, s.got[at] = at, nil, true
	p.seen[name] = at
}
