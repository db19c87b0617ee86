package websocket

import (
	"fmt"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// This file bounds peers that break no rule and still are a burden: they never finish a message, or
// they never stop sending control frames.

// minProgress is by how many bytes an unfinished message must grow within ProgressTimeout.
const minProgress = 4 << 10

// progressTimer looks from time to time at a connection whose peer has begun a frame or message and
// has not finished it. It lives as long as it always finds something unfinished, so that it costs
// nothing per message.
type progressTimer struct {
	c        *Conn
	received uint64 // bytes of the message, when it last looked
}

// noteUnfinished notes that the input ends within a frame or message.
func (c *Conn) noteUnfinished() {
	c.flags |= unfinished
	if c.receiver.Missing() > 0 && c.receiver.Received() >= minBegun {
		c.conn.SetGreedy(true)
	}
	if c.flags&timed != 0 || c.service.receive.ProgressTimeout <= 0 {
		return
	}
	c.flags |= timed | sameMessage
	t := &progressTimer{c, c.receiver.Received()}
	c.conn.AfterFunc(c.service.receive.ProgressTimeout, t.check).LeaveBehind() // resume begins anew
}

// check fails a peer that has made no progress since the last check. While the engine does not read
// from the peer, that is not the peer's fault.
func (t *progressTimer) check() {
	c := t.c
	received := c.receiver.Received()
	if c.flags&unfinished == 0 || c.flags&closeSent != 0 {
		c.flags &^= timed
		return
	}
	if c.flags&sameMessage != 0 && received < t.received+minProgress && c.conn.Reading() {
		text := fmt.Sprintf("unfinished message grew by less than %d bytes in %v",
			minProgress, c.service.receive.ProgressTimeout)
		c.failNow(&wsproto.ProtocolError{Code: PolicyViolation, Section: "7.4.1", Text: text})
		return
	}
	t.received = received
	c.flags |= sameMessage
	c.conn.AfterFunc(c.service.receive.ProgressTimeout, t.check).LeaveBehind() // resume begins anew
}

// countControl counts a control frame of the peer's. It fails if the peer sends too many of them.
func (c *Conn) countControl() error {
	return c.meter.Count(c.conn.Now(), c.service.receive.ControlRate)
}

// pong answers a ping. While the peer takes nothing, only the latest of its pings is kept, to be
// answered later (RFC 6455 section 5.5.3): so pings cannot fill our memory.
func (c *Conn) pong(data []byte) {
	if c.conn.Pressure() == engine.Sent {
		if r := c.rare; r != nil {
			r.pongDue = false // an older ping's, which this one answers as well
		}
		c.control(wsproto.Pong, data)
		return
	}
	r := c.makeRare()
	r.pong, r.pongDue = append(r.pong[:0], data...), true
}
