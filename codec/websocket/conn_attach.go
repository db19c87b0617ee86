package websocket

import (
	"errors"
	"slices"

	"github.com/myriadnet/myriad/engine"
)

// Attachment is something that belongs to a connection and must know what becomes of it, whatever
// callbacks the Server or Client has: the subscriptions of a hub, the seat in a room. Its methods
// are called on the connection's loop. One that counts memory by engine.Conn.AddHeld may be an
// engine.Holder.
type Attachment interface {
	// Flushed is called when nothing waits for the peer any more, after something had to: the
	// Pressure is engine.Sent again.
	Flushed(c *Conn)
	// Closed is called once when the connection is closed, before the callback Close, with the same
	// reason.
	Closed(c *Conn, err error)
}

// Attach attaches a to the connection, behind others. It is called once for each a, from Open on.
// The error is engine.ErrClosed before Open and when the connection is closed. Connections without
// attachments pay nothing.
func (c *Conn) Attach(a Attachment) error {
	if c.flags&isOpen == 0 {
		return engine.ErrClosed
	}
	if a == nil {
		return errors.New("websocket: Attach: a is nil")
	}
	all := append(slices.Clip(c.Attachments()), a) // not in place: see Attachments
	c.makeRare().attachments = &all
	return nil
}

// Detach ends Attach: a gets no more calls. It does nothing if a is not attached.
func (c *Conn) Detach(a Attachment) {
	all := c.Attachments()
	i := slices.Index(all, a)
	if i < 0 {
		return
	}
	if len(all) > 1 {
		rest := slices.Concat(all[:i], all[i+1:])
		c.rare.attachments = &rest
		return
	}
	if c.rare.attachments = nil; c.rare.empty() {
		c.freeRare()
	}
}

// Attachments returns what is attached to the connection. The slice must not be changed; it stays
// as it is when others attach or detach.
func (c *Conn) Attachments() []Attachment {
	if c.rare == nil || c.rare.attachments == nil {
		return nil
	}
	return *c.rare.attachments
}

// endAttachments tells all that the connection is closed, even if one of them panics, except those
// that are detached by then.
func (c *Conn) endAttachments(all []Attachment, err error) {
	if len(all) == 0 {
		return
	}
	if rest := all[1:]; len(rest) > 0 {
		c.makeRare().attachments = &rest // where Detach finds them
		defer func() { c.endAttachments(c.takeAttachments(), err) }()
	}
	all[0].Closed(c, err)
}

// takeAttachments removes and returns what is attached.
func (c *Conn) takeAttachments() []Attachment {
	all := c.Attachments()
	if all != nil {
		if c.rare.attachments = nil; c.rare.empty() {
			c.freeRare()
		}
	}
	return all
}
