package wsgnet

import (
	"sync"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
)

// outs has buffers for what is sent during traffic.
var outs = sync.Pool{New: func() any { return new([]byte) }}

const (
	maxGathered = 64 << 10 // bytes that are gathered before they are written
	maxKept     = 1 << 20  // the largest buffer that is kept
)

// traffic serves what has arrived, and writes what was sent meanwhile at once.
func (c *Conn) traffic() gnet.Action {
	c.watch.active = true
	switch {
	case c.state == lingering:
		c.conn.Discard(-1)
	case c.waits():
		c.readAhead()
	case !c.beginRead():
		c.yield()
	case (c.deflates || c.left > 0) && c.conn.InboundBuffered() > maxPeek:
		c.receiveSome()
	default:
		src, err := c.conn.Peek(-1)
		if err != nil {
			return gnet.Close
		}
		c.receive(src)
	}
	c.noteLeft()
	return gnet.None
}

// lefts has buffers for what reads before have left.
var lefts = sync.Pool{New: func() any { return new([]byte) }}

// receive serves src, which begins with the first byte that is not consumed.
func (c *Conn) receive(src []byte) {
	if c.left > 0 {
		// If the connection ends in a callback, gnet lets others write to the memory of src at
		// once.
		b := lefts.Get().(*[]byte)
		defer lefts.Put(b)
		*b = append((*b)[:0], src...)
		src = *b
	}
	c.out = outs.Get().(*[]byte)
	// Also if a callback panics: on package engine/gnet the process goes on then.
	defer c.endTraffic()
	if n := c.serve(src); n > 0 && c.state != ended { // Discard(0) would discard everything
		c.conn.Discard(n)
	}
}

// endTraffic writes what was gathered, and does what had to wait for the end of the callbacks.
func (c *Conn) endTraffic() {
	c.flush()
	free(c.out)
	c.out = nil
	switch c.state {
	case lingering:
		c.conn.Discard(-1)
		c.linger()
	case ended:
		c.finish()
	}
}

func free(b *[]byte) {
	if cap(*b) <= maxKept {
		*b = (*b)[:0]
		outs.Put(b)
	}
}

// flush writes what was gathered.
func (c *Conn) flush() {
	if b := *c.out; len(b) > 0 && c.state != ended {
		*c.out = b[:0]
		c.conn.Write(b) // OnClose gets the error
	}
}

// serve serves src, and returns how many bytes of it are consumed.
func (c *Conn) serve(src []byte) (n int) {
	if c.state == opening {
		n = c.handshake(src)
		if c.state == open && n < len(src) && !c.beginRead() {
			c.yield()
			return n
		}
	}
	c.sendPong()
	var w stretch
	for c.state == open {
		ev, k, err := c.next(src[n:])
		n += k
		if err != nil {
			c.fail(err)
			return n
		}
		switch ev.Kind {
		case wsproto.EventNone:
			if !c.receiver.Inflating() {
				return n
			}
		case wsproto.EventMessage:
			c.watch.messages++
			if f := c.server.Message; f != nil && !c.closeSent {
				f(c, ev.Opcode, ev.Payload)
			}
		case wsproto.EventPing, wsproto.EventPong:
			c.controlReceived(ev)
		case wsproto.EventClose:
			c.closeReceived(ev)
		}
		if len(*c.out) >= maxGathered {
			c.flush()
		}
		if c.state == open && n < len(src) {
			w.count(c)
		}
		if c.state == open && c.used() {
			// Others must not make a peer wait that has sent nothing more.
			if n < len(src) || !c.turns.others(c) {
				c.yield()
			}
			return n
		}
	}
	return n
}

// controlReceived answers a ping, and tells the callback.
func (c *Conn) controlReceived(ev wsproto.Event) {
	if err := c.meter.count(c.server.protocol.ControlRate); err != nil {
		c.fail(err)
		return
	}
	f := c.server.Pong
	if ev.Kind == wsproto.EventPing {
		f = c.server.Ping
		c.pong, c.pongDue = append(c.pong[:0], ev.Payload...), true
		c.sendPong()
	}
	if f != nil {
		f(c, ev.Payload)
	}
}

// sendPong answers the last ping, if it was not and the peer has taken everything that was written
// (RFC 6455 section 5.5.3): so pings cannot fill our memory.
func (c *Conn) sendPong() {
	if c.pongDue && c.state == open && !c.closeSent && c.conn.OutboundBuffered() == 0 {
		c.pongDue = false
		c.control(wsproto.Pong, c.pong)
	}
}
