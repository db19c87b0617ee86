package wsgnet

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// This file keeps a peer from holding the loop. A read of gnet can be 64 MiB when it is inflated,
// or ten thousand messages whose answers are to be compressed, or sent to many others, and after a
// FIN gnet reads everything that has arrived without a look at others. So a connection is served
// for a while, and then waits for its turn (see turns). Until then what gnet reads is not served,
// or not at once: that is one read, or all that was behind a FIN, or a MiB with edge-triggered I/O.
// Nothing can stop gnet from reading, but data as people send it takes less time than a connection
// has.

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
	// turnShare is how long a connection may inflate in its turn if others wait for theirs, and
	// turnsShare is how long those may whose turns come at once.
	turnShare, turnsShare = time.Millisecond, 4 * time.Millisecond
	// readShare is for how long a read of fullRead bytes, which is what gnet reads at a time, is
	// served if others wait for their turn, and minReadShare is more than a small message needs.
	readShare, fullRead, minReadShare = 4 * time.Millisecond, 64 << 10, 100 * time.Microsecond
	// roundShare is how long all connections of a loop may inflate between two turns, and
	// aheadRound is the part of it in which those that wait for their turn may: the rest is for
	// others.
	roundShare, aheadRound = 40 * time.Millisecond, 20 * time.Millisecond
	// turnPause is the time between two turns if the loop does not look at connections.
	turnPause = time.Millisecond
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
		c.packed(begin)
	}
	return ev, n, err
}

// packs reports whether an answer of n bytes is compressed, which counts like inflating: a small
// request may have a large answer.
func (c *Conn) packs(n int) bool {
	return c.deflates && c.out != nil && n >= c.server.protocol.Compressor.Threshold()
}

// packed adds the time since begin, in which an answer was compressed or a message inflated.
func (c *Conn) packed(begin time.Time) { c.spend(time.Since(begin)) }

func (c *Conn) spend(d time.Duration) {
	c.worked += d
	c.turns.spent += d
}

// stretch is what one call of serve does. Callbacks take time, too: one may send its message to a
// thousand others, and a read of gnet has ten thousand messages.
type stretch struct {
	messages int
	look     int           // the number of messages when the clock is read
	begun    time.Time     // behind the first message: one alone does not pay for the clock
	worked   time.Duration // Conn.worked then
}

// mostLook is how many messages are served between two looks at the clock.
const mostLook = 8

// count counts a message, behind which there is more, and the time since the first one.
func (s *stretch) count(c *Conn) {
	s.messages++
	switch {
	case s.messages == 1:
		s.begun, s.worked, s.look = time.Now(), c.worked, 2
	case s.messages >= s.look:
		took := time.Since(s.begun)
		c.spend(max(took-(c.worked-s.worked), 0)) // some of it was counted
		more := time.Duration(s.messages-1) * (c.share - c.worked) / max(took, 1)
		s.look += int(min(max(more, 1), mostLook))
	}
}

// used reports whether the connection has used up its share of the turn.
func (c *Conn) used() bool { return c.worked >= c.share }

// beginRead sets the share of a read. If others of the loop wait for their turn, it is for the
// bytes that have arrived, so that what all have together depends on what they send, and not on how
// many they are: data as people send it has enough, and other data waits behind the others. If all
// have used up roundShare, it reports false: what has arrived waits for a turn.
func (c *Conn) beginRead() (ok bool) {
	if c.state != open {
		return true
	}
	if c.turn {
		c.beginTurn()
		return true
	}
	c.turns.looked = true
	left := c.turns.left(roundShare)
	switch {
	case !c.deflates:
		// Much may arrive that takes a while, and what waits takes memory: a part is always served.
		c.worked, c.share = 0, max(min(minShare, left), minReadShare+c.arrived(turnShare))
		return true
	case c.turns.others(c):
		c.worked, c.share = 0, min(minReadShare+c.arrived(readShare), left)
	default:
		c.share = min(c.aloneShare(), c.worked+left)
	}
	return left > 0
}

// beginTurn sets the share of a turn.
func (c *Conn) beginTurn() {
	c.turn, c.worked, c.share = false, 0, turnShare
	if !c.turns.others(c) {
		c.share = c.aloneShare()
	}
}

// aloneShare returns how long the connection may inflate if no other waits.
func (c *Conn) aloneShare() time.Duration {
	return minShare + part(maxShare-minShare, min(c.conn.InboundBuffered(), maxBacklog), maxBacklog)
}

// arrived returns the part of d, which is for fullRead bytes, for those that have arrived since the
// last read.
func (c *Conn) arrived(d time.Duration) time.Duration {
	return part(d, max(c.conn.InboundBuffered()-c.left, 0), fullRead)
}

// part returns the part n of all of d.
func part(d time.Duration, n, all int) time.Duration {
	return d * time.Duration(n>>10) / time.Duration(all>>10)
}

// waits reports whether what arrives waits for the connection's turn.
func (c *Conn) waits() bool { return c.queued && (c.resuming || c.turns.others(c)) }

// yield makes the connection go on in its next turn. Until then what arrives waits.
func (c *Conn) yield() {
	if !c.resumed {
		c.resuming = true
		c.turns.add(c)
	}
}

// resume is the connection's turn. It reports whether that is over.
func (c *Conn) resume() (over bool) {
	if c.conn.InboundBuffered() == 0 { // package engine/gnet shows what it has to OnTraffic only
		c.turn = true
		c.conn.Wake(nil)
		return false
	}
	c.beginTurn()
	c.resumed = true
	c.receiveSome()
	c.resumed = false
	c.noteLeft()
	return true
}

// noteLeft notes what is left for later.
func (c *Conn) noteLeft() {
	if c.state == open {
		c.left = c.conn.InboundBuffered()
	}
}

// receiveSome serves a part of what has arrived. If that is not all, the connection goes on in its
// next turn, or with the next read if no other waits.
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
	if c.worked = 0; c.conn.InboundBuffered() > 0 {
		c.turns.add(c)
	}
}

// readAhead takes what gnet has read although the connection has used up its share. It fails a peer
// of which too much waits.
func (c *Conn) readAhead() {
	c.turns.looked = true
	switch waiting := c.conn.InboundBuffered(); {
	case waiting > maxBacklog:
		c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("more than %d bytes wait to be served", maxBacklog)})
		if c.state == lingering {
			c.conn.Discard(-1)
		}
	case waiting > freeBacklog:
		c.worked = 0
		c.share = min(part(aheadShare, waiting-freeBacklog, maxBacklog-freeBacklog), c.turns.left(aheadRound))
		if c.turns.others(c) {
			c.share = min(c.share, c.arrived(readShare))
		}
		if c.share > 0 {
			c.receiveSome()
		}
	}
}
