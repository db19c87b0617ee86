package websocket

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// protocol is a Conn as the engine sees it. It has the methods that the engine calls, so that Conn
// has only those that users call. Converting the pointer costs nothing.
type protocol Conn

var _ interface {
	engine.Protocol
	engine.Drainer
	engine.Flusher
	engine.Expirer
	engine.Idler
	engine.Shutdowner
	engine.Recoverer
	engine.PostReceiver
	engine.Bufferer
	engine.Holder
	engine.Saver
} = (*protocol)(nil)

// Feed implements engine.Protocol.
func (p *protocol) Feed(src []byte) (int, error) {
	c := (*Conn)(p)
	if c.flags&isOpen != 0 {
		return c.frames(src)
	}
	if c.deferred() != nil {
		c.early(src)
		return 0, nil
	}
	n, err := c.handshake(src)
	if err != nil {
		return n, err
	}
	if c.flags&isOpen == 0 || !c.conn.Reading() { // Open may have paused or ended it
		c.early(src[n:])
		return n, nil
	}
	m, err := c.frames(src[n:])
	return n + m, err
}

// InputBuffer implements engine.Bufferer. The buffer ends with the frame, so that no other frame
// begins before this one's memory is free.
func (p *protocol) InputBuffer(shared []byte) []byte {
	c := (*Conn)(p)
	missing := c.receiver.Missing()
	if missing >= minInPlace {
		held := c.receiver.Held()
		room := c.receiver.Room()
		if c.flags&holding != 0 {
			c.conn.AddHeld(c.receiver.Held() - held)
		}
		if len(room) > 0 {
			return room
		}
	}
	return shared[:min(uint64(len(shared)), missing)]
}

// Drained implements engine.Drainer.
func (p *protocol) Drained() {
	c := (*Conn)(p)
	if r := c.rare; r != nil && r.outgoing != nil && r.outgoing.source != nil {
		r.outgoing.source.drained()
	}
	c.sendWaiting()
	if f := c.service.drained; f != nil && c.flags&isOpen != 0 {
		f(c)
	}
}

// Flushed implements engine.Flusher: it answers the latest ping.
func (p *protocol) Flushed() {
	c := (*Conn)(p)
	if r := c.rare; r != nil && r.pongDue {
		r.pongDue = false
		c.control(wsproto.Pong, r.pong) // an error means that it is closing
	}
	for i, a := range c.Attachments() {
		if i == 0 || slices.Contains(c.Attachments(), a) { // the one before may have detached it
			a.Flushed(c)
		}
	}
}

// Expired implements engine.Expirer: it answers a handshake that took too long. An open connection
// whose user has set a timeout gets a Close frame, unless it is sent already.
func (p *protocol) Expired() {
	c := (*Conn)(p)
	switch {
	case c.deferred() != nil:
		c.refuseDeferred(errUndecided)
		return
	case c.flags&isOpen == 0:
		c.refuse(nil, errTimeout)
		return
	}
	c.sayGoodbye(wsproto.GoingAway)
}

// sayGoodbye sends a Close frame before the engine closes the connection, so that the peer does not
// see code 1006. Behind much that the peer does not take it would come too late.
func (c *Conn) sayGoodbye(code CloseCode) {
	if c.conn.Pressure() != engine.OverHighWater {
		c.sendClose(code, "") // an error means that it is closing
	}
}

// Recovered implements engine.Recoverer: it tells the peer that a callback has panicked.
func (p *protocol) Recovered(*engine.PanicError) {
	c := (*Conn)(p)
	switch {
	case c.flags&isOpen != 0:
		c.sayGoodbye(wsproto.InternalError)
	case c.flags&inHandshake != 0:
		c.answer(500, "internal server error\n", true)
	}
}

// Idle implements engine.Idler: it pings a silent peer once.
func (p *protocol) Idle() bool {
	c := (*Conn)(p)
	if c.flags&pinged != 0 {
		c.sayGoodbye(wsproto.GoingAway)
		return false
	}
	c.flags |= pinged
	c.forgetRates()
	if c.rare != nil && c.rare.sender != nil && c.flags&sending == 0 {
		// The next message does not refer to those before: that is always allowed.
		c.rare.sender.Drop()
	}
	if c.service.receive.PongTimeout != c.service.receive.IdleTimeout {
		c.conn.SetIdleTimeout(c.service.receive.PongTimeout)
	}
	return c.control(wsproto.Ping, nil) == nil
}

// goingAwayTimeout is how long peers have for their part of the closing handshake when the engine
// shuts down. Together with engine.Config.Linger it must stay below Config.ShutdownTimeout, or
// peers that do not answer would be cut.
const goingAwayTimeout = time.Second

// Shutdown implements engine.Shutdowner.
func (p *protocol) Shutdown() {
	c := (*Conn)(p)
	if c.deferred() != nil {
		c.conn.CloseWith(c.refuseDeferred(errEnded))
		return
	}
	// After an error it is closing already, and has no more time than others from now on.
	c.Close(wsproto.GoingAway, "")
	if c.flags&isOpen != 0 {
		if d := c.service.receive.CloseTimeout; d <= 0 || d > goingAwayTimeout {
			c.conn.SetReplyTimeout(goingAwayTimeout)
		}
	}
}

// Posted implements engine.PostReceiver. Errors mean that the connection is closing; Close tells.
func (p *protocol) Posted(posted uint32, b []byte) {
	c, k := (*Conn)(p), kind(posted)
	switch op := k.opcode(); op {
	case wsproto.Close:
		c.Close(k.closeCode(), string(b))
	case wsproto.Ping:
		c.control(op, b)
	default:
		c.send(op, b, false)
	}
}

// Closed implements engine.Protocol.
func (p *protocol) Closed(err error) {
	c := (*Conn)(p)
	if r := c.rare; r != nil && r.moved != nil {
		c.depart(r.moved)
		return
	}
	c.conn.AddHeld(-c.held() - c.windowBytes())
	c.endHandshake()
	opened := c.flags&isOpen != 0
	c.flags = closeSent
	var unsent *source
	attachments := c.Attachments()
	if s := c.service.stream; s != nil {
		s.counted = 0
	}
	if r := c.rare; r != nil {
		c.service.windows.Add(-int64(r.windows))
		if r.place != nil {
			c.service.server.open.Release(r.place)
		}
		if r.closing != nil {
			err = closed(err, r.closing)
		}
		if r.outgoing != nil {
			err = r.outgoing.unsent(err)
			unsent = r.outgoing.source
		}
	}
	c.freeRare()
	c.receiver.Release()
	ends.end(c)
	if f := c.service.close; opened && f != nil {
		defer f(c, err) // even if done panics
	}
	if len(attachments) > 0 {
		c.makeRare().attachments = &attachments // where Detach finds them, which done may call
		defer func() { c.endAttachments(c.takeAttachments(), err) }()
	}
	if unsent != nil {
		unsent.end(engine.ErrClosed)
	}
}
