package wire

import (
	"slices"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// lister sends a connection the lists of members that it needs, one at a time: a list is far larger
// than the request that asks for it. A subscription that ends before its turn gets none. It belongs
// to the connection's loop.
type lister struct {
	endpoint *Endpoint
	waiting  []string // topics
	busy     bool     // one is asked for, or on its way
}

// Flushed implements websocket.Attachment.
func (l *lister) Flushed(*websocket.Conn) {}

// Closed implements websocket.Attachment.
func (l *lister) Closed(*websocket.Conn, error) { l.waiting = nil }

// lister returns that of a connection, nil if it has none.
func (e *Endpoint) lister(c *websocket.Conn) *lister {
	for _, a := range c.Attachments() {
		if l, ok := a.(*lister); ok && l.endpoint == e {
			return l
		}
	}
	return nil
}

// listMembers sends who is present. What changes meanwhile is told before or after: the client
// takes a member that joins twice, or that leaves and is not there, for what it is.
func (e *Endpoint) listMembers(c *websocket.Conn, name string) {
	l := e.lister(c)
	if l == nil {
		l = &lister{endpoint: e}
		if c.Attach(l) != nil {
			return // it is closed
		}
	}
	l.waiting = append(l.waiting, name)
	if !l.busy {
		l.next(c)
	}
}

// unlist forgets a topic that the connection has left.
func (e *Endpoint) unlist(c *websocket.Conn, name string) {
	if l := e.lister(c); l != nil {
		l.waiting = slices.DeleteFunc(l.waiting, func(n string) bool { return n == name })
	}
}

// next asks for the list of the topic that waits longest. When it is sent, the next one has its
// turn.
func (l *lister) next(c *websocket.Conn) {
	if l.busy = len(l.waiting) > 0; !l.busy {
		l.waiting = nil
		return
	}
	name := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	e, h, enc := l.endpoint, c.Handle(), encodingOf(c)
	e.Hub.Members(name, func(all []topic.Member, err error) {
		var list []byte
		if err == nil { // otherwise the client knows those that join from now on
			listed := all[:min(len(all), limit(e.MaxMembers, defaultMaxMembers))]
			list = enc.members(nil, name, listed, len(all)-len(listed))
		}
		h.Post(func(c *websocket.Conn) { // an error means that it is closed
			if list != nil {
				c.Send(enc.Opcode(), list)
			}
			l.next(c)
		})
	})
}
