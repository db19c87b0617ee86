package websocket

import (
	"fmt"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// This file is about peers that follow every rule and are a burden all the same: they never finish, or they never stop.

// leastProgress is by how many bytes an unfinished message must grow within ProgressTimeout.
const leastProgress = 4 << 10

// progress watches a connection whose peer has begun a frame or message and not ended it. One lives as long as there is always
// something unfinished when it looks, so that it costs nothing per message.
type progress struct {
	c        *Conn
	received uint64 // of the message, when it was last looked at
}

// unfinished notes that the input ends within a frame or message.
func (c *Conn) unfinished() {
	c.flags |= midway
	if c.session.Missing() > 0 && c.session.Received() >= leastBegun {
		c.conn.SetGreedy(true)
	}
	if c.flags&watched != 0 || c.service.progressTimeout <= 0 {
		return
	}
	c.flags |= watched | stale
	p := &progress{c, c.session.Received()}
	c.conn.AfterFunc(c.service.progressTimeout, p.look)
}

// look fails a peer that has made no progress since the last time. While we do not read from it that is no fault of its.
func (p *progress) look() {
	c := p.c
	switch received := c.session.Received(); {
	case c.flags&midway == 0 || c.flags&closeSent != 0:
		c.flags &^= watched
		return
	case c.flags&stale != 0 && received < p.received+leastProgress && c.conn.Reading():
		c.failNow(&wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("unfinished message grew by less than %d bytes in %v", leastProgress, c.service.progressTimeout)})
		return
	default:
		p.received = received
	}
	c.flags |= stale
	c.conn.AfterFunc(c.service.progressTimeout, p.look)
}

// counted counts a control frame of the peer's. The error is that it is one too many.
func (c *Conn) counted() error {
	m := wsproto.Meter(c.meter)
	err := m.Count(c.conn.Now(), c.service.controlRate)
	c.meter = uint32(m)
	return err
}

// pong answers a ping. Only the latest of those that come while the peer takes nothing is answered, when it does again (RFC 6455
// section 5.5.3): so pings cannot fill our memory.
func (c *Conn) pong(data []byte) {
	if c.conn.Pressure() == engine.Sent {
		c.control(wsproto.Pong, data)
		return
	}
	r := c.rarely()
	r.pong, r.pongDue = append(r.pong[:0], data...), true
}
