package wsgnet

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// This file keeps a peer with compression from holding the loop. A read of gnet can be 64 MiB when
// it is inflated, and after a FIN gnet reads everything that has arrived without a look at others.
// So a connection inflates for a while in each turn of the loop. The next turn begins with a task
// that is posted to the loop. Until then what gnet reads is not served: that is one read, or all
// that was behind a FIN. Nothing can stop gnet from reading, but it reads once in a turn, and data as
// people send it takes less time than a connection has.

const (
	// inflateStep is how much of a message is inflated at a time, in bytes.
	inflateStep = 64 << 10
	// minShare is how long a connection may inflate before it is the others' turn, and maxShare if
	// maxBacklog waits: where a machine is slow, honest peers must not get there.
	minShare, maxShare = 5 * time.Millisecond, 10 * time.Millisecond
	// maxBacklog is how much may wait to be inflated, in bytes.
	maxBacklog = 4 << 20
	// maxPeek is how much of that is looked at at a time: what gnet has in two parts it copies. It is
	// more than a read has.
	maxPeek = 128 << 10
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

// used reports whether the connection has used up its share of the turn.
func (c *Conn) used() bool {
	if c.inflated < minShare {
		return false
	}
	waiting := min(c.conn.InboundBuffered(), maxBacklog)
	return c.inflated >= minShare+(maxShare-minShare)*time.Duration(waiting>>10)/(maxBacklog>>10)
}

// yield makes the connection go on in the next turn.
func (c *Conn) yield() {
	if !c.resumed {
		c.resuming = true
		c.Post((*Conn).resume) // an error means that the engine ends
	}
}

// resume begins a turn.
func (c *Conn) resume() {
	c.resuming, c.inflated = false, 0
	if c.state != open || c.conn.InboundBuffered() == 0 {
		return
	}
	c.resumed = true
	c.receiveSome()
	c.resumed = false
}

// receiveSome serves a part of what has arrived. If that is not all, the connection goes on with the
// next read, or soon if there is none.
func (c *Conn) receiveSome() {
	waiting := c.conn.InboundBuffered()
	src, err := c.conn.Peek(min(waiting, maxPeek))
	if err != nil {
		return
	}
	c.receive(src)
	if c.state != open || c.resuming || !c.used() && len(src) == waiting {
		return
	}
	c.inflated = 0
	if !c.waking {
		c.waking = true
		// what the loop posts to itself, gnet does before it looks at the others
		go c.Post(func(c *Conn) {
			if c.waking = false; !c.resuming { // otherwise the one that is posted comes soon
				c.resume()
			}
		})
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
