package wire

import (
	"slices"
	"sync/atomic"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// lister sends a connection the lists of members that it needs, one at a time, and no faster than
// its peer takes them: a list is far larger than the request that asks for it. A subscription that
// ends before its turn gets none. It belongs to the connection's loop.
type lister struct {
	endpoint *Endpoint
	waiting  []string // topics
	busy     bool     // one is asked for, or on its way, or waits for Flushed
	slow     bool     // it waits for Flushed
}

// Flushed implements websocket.Attachment.
func (l *lister) Flushed(c *websocket.Conn) {
	if l.slow {
		l.slow = false
		c.Handle().Post(l.ask) // an error means that it is closed
	}
}

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

// next lets the topic that waits longest have its turn, behind the events that the loop has got
// already. Many connections may subscribe at once, and what waits for a turn is not counted, so no
// list is made before.
func (l *lister) next(c *websocket.Conn) {
	if l.busy = len(l.waiting) > 0; !l.busy {
		l.waiting = nil
		return
	}
	if l.slow = c.Pressure() == engine.OverHighWater; l.slow {
		return
	}
	c.Handle().Post(l.ask) // an error means that it is closed
}

// ask asks for a list, and sends it at once if the Broker has it.
func (l *lister) ask(c *websocket.Conn) {
	if len(l.waiting) == 0 { // the connection has left them
		l.busy = false
		return
	}
	name := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	h := c.Handle()
	var all []topic.Member
	var err error
	send := func(c *websocket.Conn) {
		if err == nil { // otherwise the client knows those that join from now on
			l.send(c, name, all)
		}
		l.next(c)
	}
	var second atomic.Bool // of the answer and the return of Members: it sends
	l.endpoint.Hub.Members(name, func(m []topic.Member, e error) {
		all, err = m, e
		if second.Swap(true) {
			h.Post(send) // an error means that it is closed
		}
	})
	if second.Swap(true) {
		send(c)
	}
}

// send sends a list.
func (l *lister) send(c *websocket.Conn, name string, all []topic.Member) {
	enc := encodingOf(c)
	listed := all[:min(len(all), limit(l.endpoint.MaxMembers, defaultMaxMembers))]
	c.Send(enc.Opcode(), enc.members(nil, name, listed, len(all)-len(listed)))
}
