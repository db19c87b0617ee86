package engine

import (
	"slices"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// corkedMax is how many connections besides the current one may hold a cork at the same time.
const corkedMax = 64

// dirtyList has the connections that settle must look at when the turn ends.
//
// A method of Conn only changes fields. Acting on the change (writing the queue, sending a FIN,
// changing the interest, calling Closed) is up to settle, which runs when no call of user code is
// in progress. Two flags of a connection make sure that it does:
//
//   - touched: something has changed since settle last looked. touch sets the flag, and settle
//     clears it before it looks.
//   - listed: the connection is in the list. touch lists it, except during a call of user code for
//     this very connection: then the caller settles it when the call returns, and caught lists it
//     if the call panics.
//
// So between two turns every touched connection is listed, or waits for its end. A listed
// connection that is no longer touched was settled in the meantime, and is skipped. A connection
// that is touched while the list is processed waits for the next turn.
//
// Thousands of connections may end at once. When a turn takes long, their ends wait in a list of
// their own, in the order in which they came, with the flag ending: what is listed is looked at in
// each turn. Until then settle does not tell a Protocol that its peer has ended, and does all else.
//
// A broadcast to ten thousand connections must not need ten thousand corks. So when more than
// corkedMax listed connections hold one, the oldest are written early. As many may hold one that
// were listed before they got it.
type dirtyList struct {
	conns   []*Conn
	flushed int // conns[:flushed] were written early
	next    int // conns[:next] were settled in this turn

	ends []*Conn
	held int // what those of them hold that have nothing to do but to end

	corked []*Conn // got a cork when they were listed already; the last corkedMax
	corks  uint    // how often that happened
}

func (d *dirtyList) isEmpty() bool { return len(d.conns)+len(d.ends) == 0 }

// touch makes sure that settle looks at c: see dirtyList.
func (c *Conn) touch() {
	if c.flags&touched == 0 && c.state != closed {
		c.mark()
	}
}

func (c *Conn) mark() {
	c.loop.checkTurn()
	c.flags |= touched
	if l := c.loop; c != l.callback.conn && c.flags&listed == 0 {
		c.flags |= listed
		l.list(c)
	}
}

// list adds c to the dirty list, and writes the oldest connection early if too many hold a cork.
func (l *loop) list(c *Conn) {
	l.dirty.conns = append(l.dirty.conns, c)
	for len(l.dirty.conns)-l.dirty.flushed > corkedMax {
		l.dirty.flushed++
		l.dirty.conns[l.dirty.flushed-1].writeEarly()
	}
}

// cork is called before c, which is listed, gets a cork. Thousands may be listed since they wait
// for something else, and list has passed them, or stands in front of them.
func (l *loop) cork(c *Conn) {
	if c == l.callback.conn { // it is settled soon
		return
	}
	d := &l.dirty
	if d.corked == nil {
		d.corked = make([]*Conn, corkedMax)
	}
	oldest := &d.corked[d.corks%corkedMax]
	d.corks++
	if *oldest != nil {
		(*oldest).writeEarly()
	}
	*oldest = c
}

// writeEarly writes what c has corked, before settle does.
func (c *Conn) writeEarly() {
	if c.flags&blocked == 0 && c.state < ended && !c.out.Empty() {
		c.flush()
		if c.state == ended { // the peer is gone, and perhaps those of all others
			c.out.Park(&c.loop.memory.pool)
		}
		if c.state == open && c.out.Empty() && c.flags&(unsettled|finHeld) == wantRead|touched {
			c.flags &^= touched | listed // there is nothing else to settle
		}
	}
}

// settleDirty settles the connections that are listed now. Those that its calls touch wait for the
// next turn. In the middle of a turn deliverTime goes on.
func (l *loop) settleDirty() {
	if l.dirty.isEmpty() {
		return
	}
	if l.step != packetStep && !l.ticking.settling { // once in a turn
		l.beginDelivery(max(l.yielding.look, l.now))
	}
	for len(l.dirty.ends) > 0 && !l.reading.long {
		l.settleEvent(l.nextEnd())
		l.reading.over = false // or nobody else would come as long as each end takes that long
	}
	waits := -1 // where the first of those is that wait for the next turn
	for n := len(l.dirty.conns); l.dirty.next < n; {
		c := l.dirty.conns[l.dirty.next]
		l.dirty.next++ // before the call, which may panic
		l.dirty.flushed = max(l.dirty.flushed, l.dirty.next)
		if c.flags&listed == 0 {
			continue
		}
		fin := l.reading.over && c.sendsFin() // thousands may be closed in one call
		if fin || c.state == open && c.isOffered() && l.mustLeave(c) {
			if waits < 0 {
				waits = len(l.dirty.conns)
			}
			if fin || c.out.Empty() || c.flags&blocked != 0 { // there is nothing else to do
				l.dirty.conns = append(l.dirty.conns, c)
				continue
			}
		}
		c.flags &^= listed
		if l.reading.long && c.flags&touched != 0 && (c.state == ended || c.flags&finHeld != 0) {
			l.deferEnd(c)
		}
		if c.flags&touched != 0 && (c.state != ended || c.flags&ending == 0) {
			l.settleEvent(c)
		}
	}
	left := copy(l.dirty.conns, l.dirty.conns[l.dirty.next:])
	clear(l.dirty.conns[left:])
	l.dirty.conns = l.dirty.conns[:left]
	if waits -= l.dirty.next; waits > 0 { // they come first then
		slices.Reverse(l.dirty.conns[:waits])
		slices.Reverse(l.dirty.conns[waits:])
		slices.Reverse(l.dirty.conns)
	}
	l.dirty.next, l.dirty.flushed = 0, 0
}

// deferEnd makes c, which has ended, or whose peer has, wait until it is its turn to end. settle
// does what else there is to do.
func (l *loop) deferEnd(c *Conn) {
	if c.flags&ending != 0 {
		return
	}
	c.flags |= ending
	l.dirty.ends = append(l.dirty.ends, c)
	if c.state == ended {
		c.out.Park(&l.memory.pool)
	}
	if c.endsSoon() {
		l.dirty.held += c.holds()
	}
}

// nextEnd takes the first one off the list of those that wait for their end.
func (l *loop) nextEnd() *Conn {
	d := &l.dirty
	c := d.ends[0]
	d.ends[0] = nil
	d.ends = d.ends[1:]
	c.flags &^= ending
	if len(d.ends) == 0 {
		d.ends, d.held = nil, 0
	} else if c.endsSoon() {
		d.held = max(d.held-c.holds(), 0)
	}
	return c
}

// endsSoon reports whether settle will close c that waits for its end. Otherwise its Protocol
// decides what happens when its peer has ended.
func (c *Conn) endsSoon() bool {
	return c.state == ended || c.state < ended && c.abilities&hasReadClosed == 0
}

// sendsFin reports whether settle will shut our half of c down, behind what is corked.
func (c *Conn) sendsFin() bool {
	return c.state < ended && c.flags&(touched|writeClosed|finSent|blocked) == touched|writeClosed
}

// isOffered reports whether settle offers what c has not consumed.
func (c *Conn) isOffered() bool { return c.flags&(refeed|yielded|throttled) == refeed }

// unsettled are the flags that settle looks at when the queue is empty. A connection that only
// reads has wantRead alone.
const unsettled = paused | throttled | readClosed | writeClosed | blocked | touched | refeed |
	yielded | wantRead | wantWrite | lagging

// settle makes the kernel and the Protocol catch up with what happened to c. It is the only place
// where a connection's life goes on. It runs outside of every call of user code.
func (l *loop) settle(c *Conn) {
	c.flags &^= touched
	if c.state >= closed {
		if c.fd >= 0 && c.state == closed { // Closed has panicked, or the Observer
			l.observeClosed(c)
			l.dispose(c)
		}
		return
	}
	if c.isOffered() && !l.mustLeave(c) {
		c.flags &^= refeed
		if c.in != nil && c.state == open && c.flags&paused == 0 {
			l.useShare(c, l.feed(c, c.in.Bytes(), true))
			c.flags &^= touched
		}
	}
	if c.flags&(finHeld|ending) == finHeld && c.state < ended {
		l.readClosed(c)
	}
	if c.flags&blocked == 0 && !c.out.Empty() && c.state < ended {
		c.flush()
	}
	if c.flags&unsettled == wantRead && c.state == open && c.out.Empty() {
		return // the usual case: everything is written, and nothing else has changed
	}
	if c.out.Len() == 0 && c.state < ended {
		l.sendFin(c)
	}
	if c.state == ended {
		l.finish(c)
	}
	if c.state == closed {
		return
	}
	drained := l.balance(c)
	flushed := c.flags&(blocked|wantWrite) == wantWrite
	l.register(c)
	if drained && c.state == open && c.abilities&hasDrained != 0 {
		l.enter(c)
		c.proto.(Drainer).Drained()
		l.exit()
	}
	if flushed && c.state == open && c.abilities&hasFlushed != 0 {
		l.enter(c)
		c.proto.(Flusher).Flushed()
		l.exit()
	}
	if l.step == packetStep { // the last settleDirty of the turn
		c.flags &^= yielded
	}
	// Drained or Feed has touched it: it waits for the next turn, behind other connections. What a
	// peer over the high watermark has sent waits until it is drained.
	if c.flags&touched != 0 || c.flags&(refeed|throttled) == refeed {
		c.mark()
	}
}

// settleInBudget settles c and then keeps the loop within its budget. It is for whatever may happen
// to many connections in a turn, or makes c hold more. No call of user code may be in progress.
func (l *loop) settleInBudget(c *Conn) {
	l.settle(c)
	l.checkMemory()
}

// wanted returns what c waits for, as wantRead and wantWrite.
func (c *Conn) wanted() (want flags) {
	if c.flags&(paused|throttled|readClosed) == 0 || c.state == closing && c.flags&readClosed == 0 {
		want |= wantRead
	}
	if c.flags&blocked != 0 {
		want |= wantWrite
	}
	return want
}

// register tells the driver what c waits for, if that has changed.
func (l *loop) register(c *Conn) {
	have, want := c.flags&(wantRead|wantWrite), c.wanted()
	if have == want {
		return
	}
	c.flags = c.flags&^(wantRead|wantWrite) | want
	if err := l.poller.SetInterest(int(c.fd), c.token(), interest(have), interest(want)); err != nil {
		c.end(resetError(err))
		c.touch()
	}
}

func interest(f flags) (i driver.Interest) {
	if f&wantRead != 0 {
		i |= driver.Read
	}
	if f&wantWrite != 0 {
		i |= driver.Write
	}
	return i
}
