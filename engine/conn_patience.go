package engine

import (
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// This file has the clocks that wait for a peer while our bytes are on their way to it.
//
// A peer may read slowly but steadily from megabytes in the kernel, and then it must not be cut
// off. So the linger time and the time of SetReplyTimeout count from the last progress, and in the
// end from the moment when everything was acknowledged. Progress is what the kernel can show: see
// driver.Sockets.Unacknowledged. It is asked when an eighth of the time has passed, and then every
// eighth as long as bytes are left. So nothing is asked per message, and nothing at all about a
// peer that answers quickly. What was seen last is in loop.looks, so that other connections need no
// memory for it.
//
//	                 bytes left           none left
//	begin ---> look ------------> look ... ------> the whole time ---> overdue
//	       1/8       1/8, progress: silent = 0
//	                 silent for the whole time, or MaxLinger in all ---> overdue
//
// What a peer has acknowledged may still be in its own buffers, and there the kernel shows nothing.
// One that took long for what was in ours has that long again.

// lookAgain is the part of a time after which the kernel is asked again.
const lookAgain = 8

// look is what the kernel has told about the bytes that are on their way to a peer.
type look struct {
	begin wheel.Tick // the first look
	since wheel.Tick // the last progress, or the first look
	taken uint64     // changes with progress
}

// SetReplyTimeout closes the connection with ErrTimeout if the peer has not ended it, and no other
// timeout was set, within d after it has acknowledged everything that was written. Until then, d
// counts from the last bytes that it acknowledged. A peer that took longer than d for everything
// has that long instead of d, since it may have as much in its own buffers. All that is limited by
// Config.MaxLinger. The timeout may come an eighth later. It replaces that of SetTimeout and the
// idle timeout, and SetIdleTimeout has no effect while it runs. Use it for the answer to the last
// that is written, such as the peer's part of a closing handshake. d <= 0 does nothing.
func (c *Conn) SetReplyTimeout(d time.Duration) {
	if !c.serves() || d <= 0 {
		return
	}
	c.loop.checkTurn()
	if c.flags&patient == 0 {
		c.loop.forgetLook(c)
	}
	c.flags |= patient
	c.flags &^= acknowledged | postponed
	c.times.idle = ticks(d)
	c.times.deadline = c.loop.after(d / lookAgain)
	c.arm()
}

// linger starts the linger time of a connection that begins to close.
func (c *Conn) linger() {
	l := c.loop
	if c.flags&patient == 0 {
		l.forgetLook(c)
	}
	c.flags &^= patient | acknowledged | postponed
	c.times.idle = 0
	c.progress()
	c.times.deadline = l.after(l.config.Linger / lookAgain)
	c.arm()
}

// progress notes that the kernel has taken something of a closing connection.
func (c *Conn) progress() {
	if c.flags&looked != 0 && c.state == closing {
		k := c.loop.looks[c]
		k.since = c.loop.tick
		c.loop.looks[c] = k
	}
}

// isPatient reports whether the deadline of c counts from the peer's last progress.
func (c *Conn) isPatient() bool { return c.state == closing || c.flags&patient != 0 }

// overdue decides about a patient deadline that has come. If it returns false, it has set the
// deadline again.
func (c *Conn) overdue() bool {
	l := c.loop
	whole := c.times.idle
	if c.state == closing {
		whole = ticks(l.config.Linger)
	}
	left, taken := l.unacknowledged(c)
	if left == 0 && c.flags&acknowledged != 0 {
		return true
	}
	k, known := l.looks[c]
	if !known {
		k = look{begin: l.tick, since: l.tick}
	}
	if left == 0 || k.taken != taken {
		k.since, k.taken = l.tick, taken
	}
	took := l.tick - k.begin
	rest := ticks(l.config.MaxLinger) - min(took, ticks(l.config.MaxLinger))
	silent := l.tick - k.since
	c.flags &^= acknowledged
	switch {
	case rest == 0 || silent >= whole:
		return true
	case left == 0:
		c.flags |= acknowledged
		c.times.deadline = l.tick + min(max(whole+1, took), rest)
	default:
		l.keepLook(c, k)
		c.times.deadline = l.tick + min(max(whole/lookAgain, 1), whole-silent, rest)
	}
	c.times.deadline = max(c.times.deadline, 1)
	return false
}

// isTaking reports whether an idle peer has acknowledged bytes since the last look, which makes it
// one that reads. Without a last look nobody knows, and it has another period, unless its Protocol
// may ask it.
func (l *loop) isTaking(c *Conn) bool {
	left, taken := l.unacknowledged(c)
	k, known := l.looks[c]
	switch {
	case left == 0: // the time for an answer begins with the last of it
		l.forgetLook(c)
		return known && k.taken != taken
	case known && k.taken == taken:
		return false
	}
	l.keepLook(c, look{begin: l.tick, since: l.tick, taken: taken})
	return known || c.abilities&hasIdle == 0
}

// unacknowledged returns how many bytes the peer has not acknowledged, those in the queue included,
// and what changes when it acknowledges some.
func (l *loop) unacknowledged(c *Conn) (left int, taken uint64) {
	left, taken = l.sockets.Unacknowledged(int(c.fd))
	return left + c.out.Len(), taken
}

func (l *loop) keepLook(c *Conn, k look) {
	if l.looks == nil {
		l.looks = make(map[*Conn]look)
	}
	l.looks[c] = k
	c.flags |= looked
}

func (l *loop) forgetLook(c *Conn) {
	if c.flags&looked != 0 {
		c.flags &^= looked
		delete(l.looks, c)
	}
}

// postpone lets a deadline that has come wait for the next turn, once, if something waits to be
// read: it may be what the deadline is for. It came in time, and the loop was late, or had no time
// for it yet.
func (c *Conn) postpone() bool {
	if c.flags&postponed != 0 || !c.hasInput() {
		c.flags &^= postponed
		return false
	}
	c.flags |= postponed
	c.times.deadline = max(c.loop.tick+1, 1)
	return true
}

// hasInput reports whether something waits to be read, and will be, or was read and waits for
// another turn.
func (c *Conn) hasInput() bool {
	return c.flags&(refeed|paused) == refeed || c.flags&wantRead != 0 && c.loop.sockets.Waiting(int(c.fd))
}
