package nats

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// hear takes a notice.
func (p *presence) hear(m *nats.Msg) {
	n, err := parseNotice(m.Data)
	if err != nil || n.node == p.b.node {
		return
	}
	if n.kind == noticeBye {
		p.gone(n.node)
		return
	}
	p.hearNode(n.node)
	switch n.kind {
	case noticeAlive:
		return
	case noticeAll:
		p.announceSoon()
		return
	}
	r := p.rooms[n.topic]
	if r == nil {
		return
	}
	if n.kind == noticeWho {
		if r.version != 0 {
			p.sendState(p.b.subject("node", n.node), r)
		}
		return
	}
	if r.sub == nil {
		return // nobody here wants to know
	}
	k := r.node(n.node)
	k.heard = time.Now()
	switch n.kind {
	case noticeState:
		p.hearState(r, k, n)
	case noticeChange:
		p.hearChange(r, k, n)
	case noticeDigest:
		if n.version != k.version {
			p.askFor(r, k, n.node)
		}
	}
	p.tellSink(r)
}

// hearNode notes that a node lives. One that was not known tells everything.
func (p *presence) hearNode(id string) {
	if _, ok := p.nodes[id]; !ok && len(p.rooms) > 0 {
		p.send(p.b.subject("node", id), notice{kind: noticeAll})
	}
	p.nodes[id] = time.Now()
}

// hearState takes a part of a node's members of a topic.
func (p *presence) hearState(r *room, k *roomNode, n notice) {
	if n.version < k.version {
		return
	}
	if n.before == 0 {
		k.staged, k.part = make(map[string][]byte), 0
	}
	if k.staged == nil || uint64(k.part) != n.before {
		k.staged = nil
		return
	}
	k.part++
	for _, m := range n.joined {
		k.staged[m.ID] = m.Info
	}
	if !n.last {
		return
	}
	staged := k.staged
	k.staged, k.version = nil, n.version
	p.replace(r, k, staged)
}

// replace makes members those of a node.
func (p *presence) replace(r *room, k *roomNode, members map[string][]byte) {
	for id, info := range members {
		r.add(k, topic.Member{ID: id, Info: info})
	}
	var left []string
	for id := range k.members {
		if _, ok := members[id]; !ok {
			left = append(left, id)
		}
	}
	for _, id := range left {
		r.drop(k, id)
	}
}

// hearChange takes a change, or asks for everything if another one was missed.
func (p *presence) hearChange(r *room, k *roomNode, n notice) {
	switch {
	case n.version <= k.version:
		return
	case n.before == 0 && k.version != 0:
		// The node had forgotten the topic, as nobody was present.
		p.replace(r, k, nil)
	case n.before != k.version:
		p.askFor(r, k, n.node)
		return
	}
	k.version = n.version
	for _, m := range n.joined {
		r.add(k, m)
	}
	for _, id := range n.left {
		r.drop(k, id)
	}
}

// askFor asks a node for its members of a topic, but not too often.
func (p *presence) askFor(r *room, k *roomNode, node string) {
	if now := time.Now(); now.Sub(k.asked) > askAgain {
		k.asked = now
		p.send(p.b.subject("node", node), notice{kind: noticeWho, topic: r.topic})
	}
}

// gone forgets a node.
func (p *presence) gone(node string) {
	delete(p.nodes, node)
	for _, r := range p.rooms {
		p.dropNode(r, node)
	}
}
