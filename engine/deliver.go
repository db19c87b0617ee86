package engine

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// sink is the loop as its driver sees it: it implements driver.Sink. It is a type of its own, so that these methods are
// not the loop's; converting the pointer is free.
type sink loop

// smallRest is the size up to which unconsumed bytes are copied in front of the next read: a copy that costs less than
// a read into a small buffer would. More than that is read behind where it lies, in a chunk that grows by doubling.
const smallRest = 4 << 10

// conn is the connection that t names, nil if t is stale.
func (l *loop) conn(t driver.Token) *Conn { return l.conns.Get(t.Slot(), t.Generation()) }

// Reading implements driver.Sink.
func (s *sink) Reading(t driver.Token) (fd int, buf []byte) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil || c.flags&wantRead == 0 || c.state >= ended ||
		c.state == open && c.flags&(paused|throttled|readClosed|refeed) != 0 {
		return -1, nil
	}
	if c.in == nil {
		return int(c.fd), l.inputBuffer(c)
	}
	n := c.in.Len()
	if n <= smallRest {
		copy(l.input, c.in.Bytes())
		return int(c.fd), l.input[n:]
	}
	if len(c.in.Free()) < smallRest {
		c.in = l.pool.Resize(c.in, 2*n)
	}
	return int(c.fd), c.in.Free()
}

// inputBuffer is where to read to if c has nothing unconsumed.
func (l *loop) inputBuffer(c *Conn) []byte {
	if c.flags&greedy == 0 || c.abilities&hasInputBuffer == 0 || c.state != open {
		return l.input
	}
	l.enter(c)
	b := c.proto.(Bufferer).InputBuffer(l.input)
	l.exit()
	if len(b) == 0 {
		return l.input
	}
	return b
}

// Received implements driver.Sink.
func (s *sink) Received(t driver.Token, b []byte, more bool) (again bool) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil {
		return false
	}
	c.active = l.tick
	l.stats.Reads++
	l.stats.BytesRead += uint64(len(b))
	if l.traffic != nil {
		l.countTraffic(c, len(b), 0)
	}
	cost := max(len(b), l.config.TurnBytes/turnReads) // of its share: many small reads end it, too, and many messages below
	if c.state == open {
		b, chunked := l.join(c, b)
		l.feed(c, b, chunked)
		cost = max(cost, (l.config.TurnMessages-l.messages)*l.messageCost)
		if c.flags&touched != 0 {
			l.settle(c)
		}
	}
	if t != l.reader {
		l.reader, l.bytes = t, l.config.TurnBytes
	}
	if l.bytes -= cost; more && l.bytes > 0 || c.keepsReading() && l.bytes > -l.config.TurnBytes {
		return true // also behind a short read: to read makes room, which the peer may have filled
	}
	l.reader = 0
	return false
}

// keepsReading says whether c is in the midst of something large, by what its Protocol says or has left.
func (c *Conn) keepsReading() bool {
	return c.state == open && (c.flags&greedy != 0 || c.in != nil && c.in.Len() > smallRest)
}

// join puts b behind the bytes that c has not consumed, and says whether all of it lies in c's own chunk.
func (l *loop) join(c *Conn, b []byte) (all []byte, chunked bool) {
	if c.in == nil {
		return b, false
	}
	n := c.in.Len()
	if n <= smallRest && n+len(b) <= len(l.input) && &b[0] == &l.input[n] {
		return l.input[:n+len(b)], false
	}
	if free := c.in.Free(); len(free) > 0 && &b[0] == &free[0] {
		c.in.Fill(len(b))
		return c.in.Bytes(), true
	}
	if len(c.in.Free()) < len(b) { // a driver with buffers of its own
		c.in = l.pool.Resize(c.in, 2*(n+len(b)))
	}
	c.in.Append(b)
	return c.in.Bytes(), true
}

// feed offers b to the Protocol, and to the next one if it swaps itself, and keeps what they leave.
func (l *loop) feed(c *Conn, b []byte, chunked bool) {
	for swap := true; swap && c.state == open && len(b) > 0; {
		c.flags &^= swapped
		l.enter(c)
		l.feeding = c
		l.messages = l.config.TurnMessages
		n, err := c.proto.Feed(b)
		l.exit()
		l.countMessages()
		l.feeding = nil
		if uint(n) > uint(len(b)) {
			n, err = len(b), fmt.Errorf("engine: %T.Feed consumed %d bytes of %d", c.proto, n, len(b))
		}
		b = b[n:]
		if err != nil {
			c.CloseWith(err)
		}
		swap = c.flags&swapped != 0
		if l.messages <= 0 && len(b) > 0 && c.flags&paused == 0 && c.state == open {
			c.flags |= refeed | yielded
			c.touch()
			break
		}
	}
	c.keep(b, chunked)
}

// countMessages adds what the last Feed has delivered.
func (l *loop) countMessages() { l.stats.Messages += uint64(l.config.TurnMessages - l.messages) }

// keep holds what was not consumed for the next delivery; rest is the end of what c.in holds if chunked.
func (c *Conn) keep(rest []byte, chunked bool) {
	l := c.loop
	if len(rest) == 0 || c.state != open && c.flags&released == 0 {
		c.dropInput()
		return
	}
	in := c.in
	switch {
	case chunked:
		in.Skip(in.Len() - len(rest))
		if in.Cap() > 4*smallRest && len(rest) <= smallRest {
			c.in = l.pool.Resize(in, len(rest))
		}
	case in == nil || in.Cap() < len(rest):
		c.dropInput()
		c.in = l.pool.Get(len(rest))
		c.in.Append(rest)
	default:
		in.Reset()
		in.Append(rest)
	}
	l.pool.Hold(c.in, uint64(c.token()))
	if len(rest) > l.config.MaxInbound && c.flags&(paused|released|yielded) == 0 {
		c.CloseWith(&limitError{ErrInboundLimit, l.config.MaxInbound})
	}
}

// ReadClosed implements driver.Sink.
func (s *sink) ReadClosed(t driver.Token) {
	l := (*loop)(s)
	c := l.conn(t)
	if c == nil || c.state >= ended {
		return
	}
	c.flags |= finHeld | touched
	l.settle(c)
}

// readClosed tells that the peer has sent its FIN. A driver that reads ahead may know that while bytes before it wait for
// another Feed: they come first.
func (l *loop) readClosed(c *Conn) {
	if c.state == open && c.flags&(paused|refeed) != 0 {
		return
	}
	c.flags = c.flags&^finHeld | readClosed | touched
	switch {
	case c.state != open:
	case c.abilities&hasReadClosed != 0:
		l.enter(c)
		c.proto.(ReadCloser).ReadClosed()
		l.exit()
	default:
		c.CloseWith(ErrPeerClosed)
	}
	c.flags &^= touched
}

// Writable implements driver.Sink.
func (s *sink) Writable(t driver.Token) {
	l := (*loop)(s)
	if t.Slot()&driver.DatagramBit != 0 {
		l.writablePackets(l.packetConn(t))
		return
	}
	c := l.conn(t)
	switch {
	case c == nil || c.flags&blocked == 0:
	case c.flags&connecting != 0:
		l.connected(c)
	default:
		c.flags &^= blocked
		l.settle(c)
	}
}

// Failed implements driver.Sink.
func (s *sink) Failed(t driver.Token, err error) {
	l := (*loop)(s)
	if c := l.conn(t); c != nil {
		c.fail(err)
		l.settle(c)
	}
}

// Accepted implements driver.Sink.
func (s *sink) Accepted(t driver.Token, fd int) (again bool) {
	l := (*loop)(s)
	ln := l.listener(t)
	if ln == nil {
		l.engine.backend.CloseFd(fd)
		return false
	}
	if caller, ok := ln.admit(fd); ok {
		ln.shortages = 0
		l.engine.place(fd, ln, caller, l)
	}
	ln.burst++
	limit := acceptTurn
	if l.stopping {
		limit = lastAccepts
	}
	if (l.stopping || l.refusing || ln.spend()) && ln.burst < limit && !ln.closed.Load() {
		return true
	}
	ln.burst = 0
	return false
}

// AcceptFailed implements driver.Sink.
func (s *sink) AcceptFailed(t driver.Token, err error) {
	l := (*loop)(s)
	if ln := l.listener(t); ln != nil {
		ln.acceptFailed(err)
	}
}
