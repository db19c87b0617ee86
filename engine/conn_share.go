package engine

import (
	"math"
	"time"
)

// turnReads is how many reads use up a connection's share of a turn, however few bytes they return.
const turnReads = 64

// reading is what a connection's share of a turn is counted by.
type reading struct {
	messageCost int // what one message uses of Config.TurnBytes, at least
	leastCost   int // the same of one call of feed
	unit        int // of share.used, as an exponent of two
	fresh       int // connections in handshakes that may still be read from in this turn

	begun time.Duration // when the loop began to deliver, or to settle, by the clock of yields
	long  bool          // deliverTime has passed since
	over  bool          // deliverMost has
}

// deliverTime is how long the loop delivers what a poll has reported, or settles what is listed,
// before what takes much waits for the next turn. Every connection has its share of a turn, and
// hundreds that use it up, or that leave, would keep all others waiting for as many shares.
const deliverTime = time.Millisecond

// deliverMost is when all else waits for the next turn, too. What connections need that have needed
// little before is not known, and a thousand of them may begin to need much at once.
const deliverMost = 3 * deliverTime

// lightShare is how much of its share a connection uses that is served in any turn, in units. When
// deliverTime has passed it may read as much, and use one unit. One that has used more before waits
// then, for longestWait turns at most, or up to twice as many: they must not all come in the same
// one.
const (
	lightShare  = 2
	longestWait = 64
)

// beginDelivery begins deliverTime.
func (l *loop) beginDelivery(now time.Duration) {
	l.reading.begun, l.reading.long, l.reading.over = now-l.yielding.away, false, false
	y := &l.yielding
	left := y.left + y.more
	y.left = min(left, firstWork)
	y.more = left - y.left
}

// checkDelivery is called when the clock has just been read.
func (l *loop) checkDelivery() {
	took := l.yielding.look - l.yielding.away - l.reading.begun
	l.reading.long, l.reading.over = l.reading.long || took > deliverTime, l.reading.over || took > deliverMost
}

// mustWait reports whether c waits for another turn, since this one takes long and c has used much
// of an earlier one.
func (l *loop) mustWait(c *Conn) bool {
	return l.reading.long && c.share.used > lightShare &&
		uint8(l.stats.Turns)-c.share.turn < longestWait+uint8(c.slot%longestWait)
}

// mustLeave reports whether what c has not consumed is left to another turn.
func (l *loop) mustLeave(c *Conn) bool { return l.reading.over || l.mustWait(c) }

// share is how much of a turn's share a connection has used. It has one share for all events and
// calls of the turn. What is read or fed at a time counts by its bytes, its messages or its work,
// whichever is the most.
type share struct {
	turn uint8 // the number's last byte: 256 turns later, bytes may wait for another turn in vain
	used uint8 // in units, rounded up; 255 units are more than two shares
}

// shareLeft returns how many bytes are left of the share of c. In the middle of something large it
// has a second one.
func (l *loop) shareLeft(c *Conn) int {
	share := l.config.TurnBytes
	if l.reading.long {
		share = min(share, 1<<l.reading.unit)
	}
	if c.share.turn != uint8(l.stats.Turns) {
		return share
	}
	left := share - int(c.share.used)<<l.reading.unit
	if left <= 0 && !l.reading.long && c.keepsReading() {
		left += l.config.TurnBytes
	}
	return left
}

// useShare counts what was read by c or fed to it. Many small reads use up the share as well.
func (l *loop) useShare(c *Conn, cost int) {
	if turn := uint8(l.stats.Turns); c.share.turn != turn {
		c.share = share{turn: turn}
	}
	l.yielding.left -= cost // as by spend, which follows
	units := (max(cost, l.reading.leastCost) + 1<<l.reading.unit - 1) >> l.reading.unit
	c.share.used = uint8(min(int(c.share.used)+units, math.MaxUint8))
}

// freshTurn is how many connections that are in the handshake of a layer, or have not sent their
// PROXY header, are read from in a turn. Each costs as much as some ten messages, and thousands may
// begin at once: they come behind those that are served already.
const freshTurn = 4

// Yield counts a message for Stats and for the connection's share of the turn. Feed calls it after
// each message that it cuts from its input. If Yield returns true, Feed should return: reading is
// paused, the connection is closing, SetProtocol was called during this Feed, the peer is over the
// high watermark, or the share (Config.TurnMessages) is used up, for which what was written during
// this Feed counts as well, and so does its time: a millisecond uses it up. The rest is offered
// again when that changes, in the last case in the next turn, and to the new Protocol after
// SetProtocol.
func (c *Conn) Yield() bool {
	cb := &c.loop.callback
	if cb.messages--; cb.messages <= cb.look {
		c.loop.lookInFeed()
	}
	return c.flags&(paused|swapped) != 0 || c.state != open || c.loop.turnUsed() || c.flags&blocked != 0 && c.floods()
}

// The clock is read after firstLook messages of what is fed at a time, and then again when its time
// may be over, after mostLook ones at the latest. A Feed with one message does not pay for it.
const (
	firstLook = 2
	mostLook  = 8
)

// lookInFeed uses up the share of a Feed that takes longer than deliverTime. What a callback does
// may be counted nowhere: it may compute, or post a message to ten thousand others.
func (l *loop) lookInFeed() {
	cb := &l.callback
	took := l.poller.Now() - max(l.yielding.look, l.now)
	if took > deliverTime {
		cb.work = max(cb.work, cb.left)
	}
	cb.look = cb.messages - nextLook(cb.counted-cb.messages, took)
}

// nextLook returns after how many more messages the clock is read, if n have taken took.
func nextLook(n int, took time.Duration) int {
	more := time.Duration(n) * (deliverTime - took) / max(took, 1)
	return int(min(max(more, 1), mostLook))
}

// AddWork counts n bytes towards the connection's share of the turn (Config.TurnBytes), besides
// those that were read. Feed calls it, before Yield, for work that is out of proportion to its
// input, such as bytes that it has inflated.
func (c *Conn) AddWork(n int) { c.loop.callback.work += n }

// turnUsed reports whether the Feed in progress has used up the connection's share of the turn.
func (l *loop) turnUsed() bool {
	return l.callback.messages <= 0 || l.feedWork() >= l.callback.left
}

// feedWork returns what the Feed in progress has cost besides what it was offered: AddWork, or what
// was written during it, to whichever connections. A write of few bytes takes as long as an event.
func (l *loop) feedWork() int {
	return max(l.callback.work, int(l.stats.BytesWritten-l.callback.wrote),
		int(l.stats.Writes-l.callback.writes)*eventWork)
}
