package nats

import (
	"encoding/binary"
	"errors"

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

// partBytes limits the bytes of a part of a state or of a change; one member may be larger.
const partBytes = 256 << 10

// most returns how many bytes of members a notice may have.
func (p *presence) most() int {
	return int(min(p.b.queue.maxPayload.Load()-headerRoom, partBytes))
}

// cost is about what a member takes in a notice.
func cost(id string, info []byte) int { return len(id) + len(info) + 2*binary.MaxVarintLen32 }

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

// sendChange tells all that follow the topic who has joined and left on this node, in changes that
// are not too large for the server.
func (p *presence) sendChange(r *room, joined []topic.Member, left []string) {
	for len(joined)+len(left) > 0 {
		n := notice{kind: noticeChange, topic: r.topic, before: r.version}
		size, i, j := 0, 0, 0
		for ; i < len(joined); i++ {
			if size += cost(joined[i].ID, joined[i].Info); size > p.most() && i > 0 {
				break
			}
		}
		for ; i == len(joined) && j < len(left); j++ {
			if size += cost(left[j], nil); size > p.most() && i+j > 0 {
				break
			}
		}
		n.joined, joined = joined[:i], joined[i:]
		n.left, left = left[:j], left[j:]
		p.version++
		r.version = p.version
		n.version = r.version
		p.send(p.subject(r), n)
	}
}

// sendState tells a node, or all that follow the topic, who is present on this node.
func (p *presence) sendState(subject string, r *room) {
	n := notice{kind: noticeState, topic: r.topic, version: r.version}
	size := 0
	for id, l := range r.local {
		if size += cost(id, l.info); size > p.most() && len(n.joined) > 0 {
			p.send(subject, n)
			n.before++
			n.joined, size = nil, cost(id, l.info)
		}
		n.joined = append(n.joined, topic.Member{ID: id, Info: l.info})
	}
	n.last = true
	p.send(subject, n)
}
