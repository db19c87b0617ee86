package engine

import (
	"slices"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// sink is the loop as its driver sees it: it implements driver.Sink. These methods are not methods
// of loop; converting the pointer costs nothing.
type sink loop

// conn returns the connection that t names, nil if t is stale.
func (l *loop) conn(t driver.Token) *Conn { return l.conns.Get(t.Slot(), t.Generation()) }

// Awake implements driver.Sink.
func (s *sink) Awake() {
	l := (*loop)(s)
	l.callback.inTurn.Store(true)
	if l.watched.asked.Load() {
		l.answer()
	}
	l.readClock()
	l.beginDelivery(l.now)
}

// Reading implements driver.Sink.
func (s *sink) Reading(t driver.Token) (fd int, buf []byte) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil || c.flags&(wantRead|ending) != wantRead || c.state >= ended ||
		c.state == open && c.flags&(paused|throttled|readClosed|refeed) != 0 || l.shareLeft(c) <= 0 {
		return -1, nil
	}
	if l.mustLeave(c) { // the driver reports it again
		return -1, nil
	}
	if c.flags&unannounced != 0 {
		if l.reading.fresh == 0 {
			return -1, nil
		}
		l.reading.fresh--
	}
	buf = l.readBuffer(c)
	if buf == nil {
		return -1, nil
	}
	if l.reading.long {
		buf = buf[:min(len(buf), lightShare<<l.reading.unit)]
	}
	return int(c.fd), buf
}

// readBuffer returns where to read to; nil: c is not read from any more.
func (l *loop) readBuffer(c *Conn) []byte {
	if c.in == nil {
		return l.inputBuffer(c)
	}
	n := c.in.Len()
	if n <= c.smallRest() {
		copy(l.memory.input, c.in.Bytes())
		return l.memory.input[n:]
	}
	if len(c.in.Free()) < smallRest {
		c.in = l.memory.pool.Resize(c.in, 2*n)
	}
	return c.in.Free()
}

// Received implements driver.Sink.
func (s *sink) Received(t driver.Token, b []byte, more bool) (again bool) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil {
		return false
	}
	c.times.active = l.tick
	l.stats.Reads++
	l.stats.BytesRead += uint64(len(b))
	if l.traffic != nil {
		l.countTraffic(c, len(b), 0)
	}
	cost := len(b)
	if c.state == open {
		b, chunked := l.join(c, b)
		cost = max(cost, l.feed(c, b, chunked))
	}
	l.useShare(c, cost)
	if c.flags&touched != 0 {
		l.settle(c)
	}
	l.checkMemory()
	l.spend(eventWork)
	// Read on even after a short read, which has made room that the peer may have filled.
	return (more || c.keepsReading()) && l.shareLeft(c) > 0
}

// ReadClosed implements driver.Sink.
func (s *sink) ReadClosed(t driver.Token) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil || c.state >= ended || c.flags&readClosed != 0 { // it may be reported again
		return
	}
	c.flags |= finHeld
	l.settleEnd(c)
}

// settleEnd settles c after an event that ends it. If the turn takes long already, that waits:
// thousands of peers may leave at once.
func (l *loop) settleEnd(c *Conn) {
	if l.reading.long {
		l.deferEnd(c)
		return
	}
	l.settleEvent(c)
}

// Writable implements driver.Sink.
func (s *sink) Writable(t driver.Token) {
	l := (*loop)(s)
	if t.Slot()&driver.DatagramBit != 0 {
		if !l.reading.over { // else the driver reports it again
			l.writablePackets(l.packetConn(t))
		}
		return
	}
	c := l.conn(t)
	switch {
	case c == nil || c.state == frozen:
	case c.flags&blocked == 0:
		l.hungUp(c)
	case l.reading.over: // the driver reports it again
	case c.flags&connecting != 0:
		l.connected(c)
	case l.polling.late > 0:
		c.unblock()
		l.polling.late -= l.settleEvent(c)
	}
}

// settleEvent settles c after an event that may end it, or for which it may write a lot: thousands
// of peers may leave at once, or begin to read. It returns how much work that was.
func (l *loop) settleEvent(c *Conn) int {
	wrote := l.stats.BytesWritten
	l.settleInBudget(c)
	work, written := eventWork, int(l.stats.BytesWritten-wrote)
	if c.state == closed {
		work += closeWork
	}
	l.spend(work) // which counts what was written
	return work + written
}

// hungUp ends a connection that is not read from, and that its peer has reset or left altogether.
// What the peer of a unix socket has sent before it left, and we have not read yet, comes first.
func (l *loop) hungUp(c *Conn) {
	if c.flags&(wantRead|wantWrite) != 0 || c.state != open {
		return
	}
	gone, err := l.sockets.HungUp(int(c.fd))
	switch {
	case err != nil:
		c.fail(err)
	case gone && c.flags&readClosed != 0:
		c.fail(syscall.EPIPE)
	default:
		return
	}
	l.settleEnd(c)
}

// Failed implements driver.Sink.
func (s *sink) Failed(t driver.Token, err error) {
	l := (*loop)(s)
	if c := l.conn(t); c != nil {
		c.fail(err)
		l.settleEnd(c)
	}
}

// Datagrams implements driver.Sink. One batch is a socket's share of a turn, or deliveryMax of it;
// the driver reports the rest again.
func (s *sink) Datagrams(t driver.Token) {
	l := (*loop)(s)
	p := l.packetConn(t)
	r := &l.packets.receiving
	if p == nil || p.closed || !l.mayReceive() {
		return
	}
	l.continueReceiving()
	switch {
	case p.told: // it ends as soon as what was received is delivered
	case r.conn == nil && len(r.waiting) == 0:
		l.receivePackets(p)
	case !slices.Contains(r.waiting, p):
		r.waiting = append(r.waiting, p)
	}
}

// Accepted implements driver.Sink.
func (s *sink) Accepted(t driver.Token, fd int) (again bool) {
	l := (*loop)(s)
	a := l.acceptor(t)
	if a == nil {
		l.engine.backend.CloseFd(fd)
		return false
	}
	limit := acceptTurn
	switch {
	case l.stopping:
		limit = a.until
	case l.accepting.refusing:
		limit = refuseTurn
	}
	// Counted before the accept function is called, which may panic.
	a.burst++
	again = (l.stopping || l.accepting.refusing || a.spend() && !l.reading.over) && a.burst < limit
	if !again && !l.stopping {
		a.burst = 0
	}
	if client, ok := a.admit(fd); ok {
		a.shortages = 0
		l.engine.place(fd, a.Listener, client, l)
	}
	if !l.accepting.refusing { // a tick may panic, and refuse must go on
		l.spend(closeWork)
	}
	return again && !a.closed.Load()
}

// AcceptFailed implements driver.Sink.
func (s *sink) AcceptFailed(t driver.Token, err error) {
	l := (*loop)(s)
	if a := l.acceptor(t); a != nil {
		a.acceptFailed(err)
	}
}
