package nats

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// notice is what nodes tell one another about their members.
type notice struct {
	kind    byte
	node    string // who tells it
	topic   string
	before  uint64 // version before a change; the part of a state
	version uint64
	last    bool // of the parts of a state
	joined  []topic.Member
	left    []string
}

// Kinds of notices.
const (
	noticeAlive  = 1 + iota // I am here
	noticeBye               // I end
	noticeAll               // tell everything that you have
	noticeWho               // tell who is present at the topic
	noticeState             // these are my members, in parts
	noticeChange            // these have joined and left
	noticeDigest            // my version is this
)

var errNotice = errors.New("nats: malformed notice of presence")

// stateBytes limits the bytes of a part of a state; one member may be larger.
const stateBytes = 256 << 10

// appendNotice appends a notice.
func appendNotice(dst []byte, n *notice) []byte {
	dst = append(dst, n.kind)
	dst = appendString(dst, n.node)
	dst = appendString(dst, n.topic)
	dst = binary.AppendUvarint(dst, n.before)
	dst = binary.AppendUvarint(dst, n.version)
	last := byte(0)
	if n.last {
		last = 1
	}
	dst = append(dst, last)
	dst = binary.AppendUvarint(dst, uint64(len(n.joined)))
	for _, m := range n.joined {
		dst = appendString(dst, m.ID)
		dst = appendString(dst, string(m.Info))
	}
	dst = binary.AppendUvarint(dst, uint64(len(n.left)))
	for _, id := range n.left {
		dst = appendString(dst, id)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parser takes values from bytes. Once it has failed, values are zero.
type parser struct {
	data []byte
	bad  bool
}

func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.data)
	if n <= 0 {
		p.bad, p.data = true, nil
		return 0
	}
	p.data = p.data[n:]
	return v
}

func (p *parser) byte() byte {
	if len(p.data) == 0 {
		p.bad = true
		return 0
	}
	c := p.data[0]
	p.data = p.data[1:]
	return c
}

func (p *parser) string() string {
	n := p.number()
	if n > uint64(len(p.data)) {
		p.bad, p.data = true, nil
		return ""
	}
	s := string(p.data[:n])
	p.data = p.data[n:]
	return s
}

// parseNotice is the inverse of appendNotice.
func parseNotice(data []byte) (n notice, err error) {
	p := parser{data: data}
	n.kind = p.byte()
	n.node, n.topic = p.string(), p.string()
	n.before, n.version = p.number(), p.number()
	n.last = p.byte() == 1
	for i := p.number(); i > 0 && !p.bad; i-- {
		n.joined = append(n.joined, topic.Member{ID: p.string(), Info: []byte(p.string())})
	}
	for i := p.number(); i > 0 && !p.bad; i-- {
		n.left = append(n.left, p.string())
	}
	if p.bad || len(p.data) > 0 {
		return notice{}, errNotice
	}
	return n, nil
}

// send sends a notice of this node. It is lost if there is no connection.
func (p *presence) send(subject string, n notice) {
	nc := p.b.nc.Load()
	if nc == nil || !nc.IsConnected() {
		return
	}
	n.node = p.b.node
	if err := nc.Publish(subject, appendNotice(nil, &n)); err != nil {
		p.b.cfg.log.Debug("nats: presence was not told", "error", err)
	}
}

// sendState tells a node, or all that follow the topic, who is present on this node.
func (p *presence) sendState(subject string, r *room) {
	n := notice{kind: noticeState, topic: r.topic, version: r.version}
	size := 0
	for id, l := range r.local {
		if size += len(id) + len(l.info); size > stateBytes && len(n.joined) > 0 {
			p.send(subject, n)
			n.before++
			n.joined, size = nil, len(id)+len(l.info)
		}
		n.joined = append(n.joined, topic.Member{ID: id, Info: l.info})
	}
	n.last = true
	p.send(subject, n)
}

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

// announceSoon tells everything, but not too often.
func (p *presence) announceSoon() {
	if p.nextAnnounce.IsZero() {
		p.nextAnnounce = time.Now().Add(askAgain)
	}
}

// announceDue tells everything if it is time.
func (p *presence) announceDue(now time.Time) {
	if p.nextAnnounce.IsZero() || now.Before(p.nextAnnounce) {
		return
	}
	p.nextAnnounce = time.Time{}
	for _, r := range p.rooms {
		if r.version != 0 {
			p.sendState(p.subject(r), r)
		}
		if r.sub != nil {
			p.send(p.subject(r), notice{kind: noticeWho, topic: r.topic})
		}
	}
}

// turn does what is due.
func (p *presence) turn(now time.Time) {
	if !p.lastTurn.IsZero() && now.Sub(p.lastTurn) > pausedTime {
		// Others may be as alive as ever: what they said has not been read yet.
		for node := range p.nodes {
			p.nodes[node] = now
		}
		p.announceSoon()
	}
	p.lastTurn = now
	if now.After(p.nextAlive) {
		p.nextAlive = now.Add(aliveInterval)
		p.send(p.b.subject("alive", "all"), notice{kind: noticeAlive})
	}
	p.announceDue(now)
	for node, heard := range p.nodes {
		if now.Sub(heard) > aliveTimeout {
			p.gone(node)
		}
	}
	for _, r := range p.rooms {
		p.turnRoom(r, now)
	}
}

// turnRoom does what is due for a topic.
func (p *presence) turnRoom(r *room, now time.Time) {
	if r.sub == nil && !r.since.IsZero() {
		p.subscribe(r)
	}
	p.answerWaiting(r, now)
	p.tellSink(r)
	for id, n := range r.nodes {
		if id != p.b.node && now.Sub(n.heard) > digestTimeout {
			p.dropNode(r, id)
		}
	}
	if r.version != 0 && now.After(r.nextDigest) {
		r.nextDigest = now.Add(jitter(digestInterval))
		p.send(p.subject(r), notice{kind: noticeDigest, topic: r.topic, version: r.version})
		p.release(r)
	}
}
