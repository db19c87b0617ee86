package wsgnet

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// This file keeps a peer with compression from holding the loop. A read of gnet can be 64 MiB when
// it is inflated, and after a FIN gnet reads everything that has arrived without a look at others.
// So a connection inflates for a while, and goes on after the others. Meanwhile gnet goes on
// reading, since nothing can stop it.

const (
	// inflateStep is how much of a message is inflated at a time, in bytes.
	inflateStep = 64 << 10
	// maxInflating is how long a connection may inflate before it is the others' turn.
	maxInflating = 5 * time.Millisecond
	// maxBacklog is how much may wait to be inflated, in bytes. Data as people send it takes less
	// than maxInflating for what gnet reads at a time, so nothing waits.
	maxBacklog = 4 << 20
	// maxResumed is how much of that is looked at at a time: what gnet has in two parts it copies.
	maxResumed = 64 << 10
)

// next is Receiver.Next. It adds up the time that inflating takes.
func (c *Conn) next(src []byte) (wsproto.Event, int, error) {
	if !c.deflates {
		return c.receiver.Next(src)
	}
	begin := time.Now()
	ev, n, err := c.receiver.Next(src)
	if c.receiver.Compressed() {
		c.inflated += time.Since(begin)
	}
	return ev, n, err
}

// resumeLater makes the connection go on after the others. What the loop posts to itself, gnet does
// before it looks at the others, so a goroutine does that.
func (c *Conn) resumeLater() {
	c.resuming = true
	go c.Post((*Conn).resume)
}

// resume goes on with what has arrived.
func (c *Conn) resume() {
	c.resuming, c.inflated = false, 0
	waiting := c.conn.InboundBuffered()
	if c.state != open || waiting == 0 {
		return
	}
	src, err := c.conn.Peek(min(waiting, maxResumed))
	if err != nil {
		return
	}
	c.receive(src)
	if c.state == open && len(src) < waiting && !c.resuming {
		c.resumeLater()
	}
}

// checkBacklog fails a peer of which too much waits.
func (c *Conn) checkBacklog() {
	if c.conn.InboundBuffered() <= maxBacklog {
		return
	}
	c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
		Text: fmt.Sprintf("more than %d bytes wait to be inflated", maxBacklog)})
	if c.state == lingering {
		c.conn.Discard(-1)
	}
}
