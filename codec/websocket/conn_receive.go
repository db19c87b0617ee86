package websocket

import (
	"github.com/myriadnet/myriad/wsproto"
)

// This file is a message's way in: from the loop to the callbacks.

// frames delivers the frames in src. It stops when a callback has paused reading.
func (c *Conn) frames(src []byte) (n int, err error) {
	if c.flags&(pinged|unfinished|holding) != 0 {
		c.resumed()
	}
	for {
		ev, k, err := c.receiver.Next(src[n:])
		n += k
		if err != nil {
			return len(src), c.fail(err)
		}
		switch ev.Kind {
		case wsproto.EventNone:
			if c.receiver.Inflating() {
				c.conn.AddWork(wholeTurn)
				c.countHeld()
				return n, nil
			}
			if c.flags&anyBits != 0 && c.service.receive.Stream && c.receiver.Compressed() {
				c.conn.AddWork(packedCost * k) // it may have been inflated to nothing
			}
			if n < len(src) || c.receiver.InMessage() {
				c.noteUnfinished()
			}
			c.countHeld()
			return n, nil
		case wsproto.EventMessage:
			c.flags &^= sameMessage
			c.countWork(ev, k)
			if f := c.service.message; f != nil && c.flags&closeSent == 0 {
				f(c, ev.Opcode, ev.Payload)
			}
		case wsproto.EventPiece, wsproto.EventLast:
			c.deliver(ev, k)
		case wsproto.EventPing:
			if err := c.countControl(); err != nil {
				return len(src), c.fail(err)
			}
			c.pong(ev.Payload)
			if f := c.service.ping; f != nil {
				f(c, ev.Payload)
			}
		case wsproto.EventPong:
			if err := c.countControl(); err != nil {
				return len(src), c.fail(err)
			}
			if f := c.service.pong; f != nil {
				f(c, ev.Payload)
			}
		case wsproto.EventClose:
			return len(src), c.closeReceived(ev)
		}
		// At the end of src the next round gives back the message's memory, unless a callback that
		// has paused keeps it: nothing may follow for a long time.
		if c.conn.Yield() && (n < len(src) || !c.conn.Reading()) {
			c.countHeld()
			return n, nil
		}
		if n == len(src) && c.flags&anyBits == 0 && c.receiver.Held() == 0 && !c.receiver.InMessage() {
			return n, nil // the usual case: another round would find nothing to do
		}
	}
}

// deliver delivers a piece of a message, for which taken bytes were consumed.
func (c *Conn) deliver(ev wsproto.Event, taken int) {
	c.countWork(ev, taken)
	last := ev.Kind == wsproto.EventLast
	if last || c.flags&timed == 0 {
		c.flags &^= sameMessage
	} else {
		c.flags |= sameMessage // only its growth counts
	}
	if c.flags&closeSent == 0 {
		c.service.piece(c, ev.Opcode, ev.Payload, last)
	}
}

const (
	// minInPlace is how much of a frame must be missing before it is read to where the message is
	// put together. Below that, a copy costs less than another place in memory does.
	minInPlace = 16 << 10
	// minBegun is how much of a message must have arrived before its rest is read at once. Then a
	// system call costs little beside it, and the memory for the rest is in proportion to it.
	minBegun = 4 << 10
)

const (
	// inflateStep is how much of a message is inflated in a turn.
	inflateStep = 64 << 10
	// inflateCost is the work of inflating a message, however small it is, in bytes.
	inflateCost = 2 << 10
	// packedCost is the most work that a compressed byte can be, in bytes. A block without content
	// is 12 bytes, and takes 2 us; one with long codes takes longer.
	packedCost = 256
	// wholeTurn is more work than a turn has.
	wholeTurn = 1 << 30
)

// countWork counts what was inflated from taken bytes towards the connection's share of the turn.
func (c *Conn) countWork(ev wsproto.Event, taken int) {
	if c.flags&anyBits != 0 && c.receiver.Compressed() {
		c.conn.AddWork(inflateCost + len(ev.Payload) + packedCost*min(taken, wholeTurn/packedCost))
	}
}

// resumed notes that a peer goes on which was silent or had something unfinished.
func (c *Conn) resumed() {
	if c.flags&pinged != 0 && c.service.receive.PongTimeout != c.service.receive.IdleTimeout {
		c.conn.SetIdleTimeout(c.service.receive.IdleTimeout)
	}
	if c.flags&unfinished != 0 && !c.receiver.InMessage() { // it was a control frame or a header
		c.flags &^= sameMessage
	}
	if c.flags&holding != 0 {
		c.conn.AddHeld(-c.receiver.Held())
	}
	c.flags &^= pinged | unfinished | holding
	c.conn.SetGreedy(false)
}
