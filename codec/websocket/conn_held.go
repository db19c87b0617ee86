package websocket

import (
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer/certs"
)

// What a peer makes a connection hold counts for engine.Config.MaxBuffered: a message that has not
// arrived whole or is lent to a callback that has paused reading, its decompressor, windows,
// messages behind one that is sent piece by piece, a request that waits for Deferred.Decide, and
// what a Stream has received. It is counted when it changes, and by frames when it returns, so that
// messages that arrive whole cost nothing.

// countHeld counts what the Receiver holds when frames returns. resumed takes it back.
func (c *Conn) countHeld() {
	if n := c.receiver.Held(); n > 0 {
		c.conn.AddHeld(n)
		c.flags |= holding
	}
}

// takeBack gives back the memory of a message behind which a Stream or a Rate has paused: nothing
// may follow for a long time.
func (c *Conn) takeBack() {
	if c.flags&holding != 0 && !c.receiver.InMessage() {
		c.conn.AddHeld(-c.receiver.Held())
		c.flags &^= holding
		c.receiver.Next(nil)
	}
}

// Held implements engine.Holder. It leaves out windows of context takeover, which
// Compression.MaxWindows limits: who holds nothing else must not be closed because of others who
// do.
func (p *protocol) Held() int {
	c := (*Conn)(p)
	n := c.held()
	if c.rare != nil {
		n += c.rare.tlsHeld
	}
	for _, a := range c.Attachments() {
		if h, ok := a.(engine.Holder); ok {
			n += h.Held()
		}
	}
	return n
}

// held is Held without attachments, which count what they hold themselves.
func (c *Conn) held() (n int) {
	if c.flags&holding != 0 {
		n = c.receiver.Held()
	}
	if r := c.rare; r != nil && r.outgoing != nil {
		n += r.outgoing.size
	}
	if d := c.deferred(); d != nil {
		n += d.held
	}
	if s := c.service.stream; s != nil {
		n += s.counted
	}
	return n
}

// countTLS counts what is kept for a handshake of what the client has sent in that of TLS. The
// layer counts it, too, but drops it when the request begins to come.
func (c *Conn) countTLS() {
	if r := c.rare; r != nil && r.tls != nil {
		r.tlsHeld = certs.Held(r.tls)
		c.conn.AddHeld(r.tlsHeld)
	}
}

// uncountTLS is the reverse of countTLS.
func (c *Conn) uncountTLS() {
	if r := c.rare; r != nil && r.tlsHeld > 0 {
		c.conn.AddHeld(-r.tlsHeld)
		r.tlsHeld = 0
	}
}

// windowBytes returns the memory of its windows.
func (c *Conn) windowBytes() int {
	if c.rare == nil {
		return 0
	}
	return c.rare.windows
}
