package wsgnet

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// This file keeps a peer with compression from holding the loop. A read of gnet can be 64 MiB when
// it is inflated, or thousands of requests whose answers are to be compressed, and after a FIN gnet
// reads everything that has arrived without a look at others. So a connection inflates and
// compresses for a while in each turn of the loop. The next turn begins with a task that is posted
// to the loop. Until then what gnet reads is not served, or not at once: that is one read, or all
// that was behind a FIN, or a MiB with edge-triggered I/O. Nothing can stop gnet from reading, but
// data as people send it takes less time than a connection has.

const (
	// inflateStep is how much of a message is inflated at a time, in bytes.
	inflateStep = 64 << 10
	// minShare is how long a connection may inflate before it is the others' turn, and maxShare if
	// maxBacklog waits: where a machine is slow, honest peers must not get there.
	minShare, maxShare = 5 * time.Millisecond, 10 * time.Millisecond
	// maxBacklog is how much may wait to be inflated, in bytes.
	maxBacklog = 4 << 20
	// freeBacklog is how much waits before a read in the same turn is served for a while, and
	// aheadShare is for how long if maxBacklog waits.
	freeBacklog, aheadShare = 1 << 20, 4 * time.Millisecond
	// maxPeek is how much of that is looked at at a time: what gnet has in two parts it copies. It
	// is more than a read has.
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

// packs reports whether an answer of n bytes is compressed, which counts like inflating: a small
// request may have a large answer.
func (c *Conn) packs(n int) bool {
	return c.deflates && c.out != nil && n >= c.server.protocol.Compressor.Threshold()
}

// packed adds the time since begin, in which an answer was compressed.
func (c *Conn) packed(begin time.Time) { c.inflated += time.Since(begin) }

// used reports whether the connection has used up its share of the turn.
func (c *Conn) used() bool {
	return c.inflated >= minShare && c.inflated >= c.share()
}

// share returns how long the connection may inflate in this turn.
func (c *Conn) share() time.Duration {
	return minShare + part(maxShare-minShare, min(c.conn.InboundBuffered(), maxBacklog), maxBacklog)
}

// part returns the part n of all of d.
func part(d time.Duration, n, all int) time.Duration {
	return d * time.Duration(n>>10) / time.Duration(all>>10)
}

// yield makes the connection go on in the next turn.
func (c *Conn) yield() {
	if !c.resumed && !c.resuming {
		c.resuming = true
		c.Post((*Conn).resume) // an error means that the engine ends
	}
}

// resume begins a turn.
func (c *Conn) resume() {
	c.resuming, c.inflated = false, 0
	if c.state != open {
		return
	}
	if c.conn.InboundBuffered() == 0 { // package engine/gnet shows what it has to OnTraffic only
		c.conn.Wake(nil)
		return
	}
	c.resumed = true
	c.receiveSome()
	c.resumed = false
}

// receiveSome serves a part of what has arrived. If that is not all, the connection goes on with
// the next read, or soon if there is none.
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

// readAhead takes what gnet has read although the connection has used up its share. It fails a peer
// of which too much waits.
func (c *Conn) readAhead() {
	switch waiting := c.conn.InboundBuffered(); {
	case waiting > maxBacklog:
		c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("more than %d bytes wait to be inflated", maxBacklog)})
		if c.state == lingering {
			c.conn.Discard(-1)
		}
	case waiting > freeBacklog:
		c.inflated = c.share() - part(aheadShare, waiting-freeBacklog, maxBacklog-freeBacklog)
		c.receiveSome()
	}
}
