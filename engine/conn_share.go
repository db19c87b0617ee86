package engine

import "math"

// turnReads is how many reads use up a connection's share of a turn, however few bytes they return.
const turnReads = 64

// reading is what a connection's share of a turn is counted by.
type reading struct {
	messageCost int // what one message uses of Config.TurnBytes, at least
	leastCost   int // the same of one call of feed
	unit        int // of share.used, as an exponent of two
	fresh       int // connections in handshakes that may still be read from in this turn
}

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
	if c.share.turn != uint8(l.stats.Turns) {
		return l.config.TurnBytes
	}
	left := l.config.TurnBytes - int(c.share.used)<<l.reading.unit
	if left <= 0 && c.keepsReading() {
		left += l.config.TurnBytes
	}
	return left
}

// useShare counts what was read by c or fed to it. Many small reads use up the share as well.
func (l *loop) useShare(c *Conn, cost int) {
	if turn := uint8(l.stats.Turns); c.share.turn != turn {
		c.share = share{turn: turn}
	}
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
// this Feed counts as well. The rest is offered again when that changes, in the last case in the
// next turn, and to the new Protocol after SetProtocol.
func (c *Conn) Yield() bool {
	c.loop.callback.messages--
	return c.flags&(paused|swapped) != 0 || c.state != open || c.loop.turnUsed() || c.flags&blocked != 0 && c.floods()
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
// was written during it, to whichever connections.
func (l *loop) feedWork() int {
	return max(l.callback.work, int(l.stats.BytesWritten-l.callback.wrote))
}
