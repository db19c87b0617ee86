package engine

import (
	"errors"
	"math"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
)

// direct is the size from which a Write goes to the kernel at once, together with what is corked.
// Copying it to the cork first would cost more than the system call that this may save. It must
// stay below buffer.Room.
const direct = 16 << 10

// parkedChunk is the smallest chunk that is added to the queue of a peer that does not keep up.
const parkedChunk = 4 << 10

// Write accepts all of b or, with an error, nothing of it. It gathers the bytes, which go out when
// the current delivery or turn of the loop ends; a large b goes out at once. What the kernel does
// not take is queued, and sent in order. b is copied where necessary, and belongs to the caller
// again when Write returns.
//
// The error is ErrClosed, ErrWriteClosed, or ErrOutboundLimit, which also closes the connection. If
// writing shows that the connection is broken, Write returns nil and Closed gets the reason.
func (c *Conn) Write(b []byte) (int, error) {
	if c.flags&(writeClosed|blocked) == 0 && c.out.Commit(b) { // from AvailableBuffer
		if c.flags&touched == 0 || c.out.Len() >= buffer.CorkSize {
			c.written()
		}
		return len(b), nil
	}
	return c.writeCopy(b)
}

// WriteRest is Write without the limit of Config.MaxOutbound. Use it for the rest of what a Write
// has begun, such as a message that is written in parts, and for the last bytes before Close: a
// large message must not keep its own end from being sent.
func (c *Conn) WriteRest(b []byte) (int, error) {
	if c.flags&(writeClosed|blocked) == 0 && c.out.Commit(b) { // from AvailableBuffer
		c.written()
		return len(b), nil
	}
	if err := c.acceptsMore(); err != nil || len(b) == 0 {
		return 0, err
	}
	c.add(b)
	c.written()
	return len(b), nil
}

// writeCopy is Write for bytes that are not from AvailableBuffer.
func (c *Conn) writeCopy(b []byte) (int, error) {
	if err := c.mayWrite(); err != nil || len(b) == 0 {
		return 0, err
	}
	c.add(b)
	c.written()
	return len(b), nil
}

// add puts b behind what is queued, or writes it at once.
func (c *Conn) add(b []byte) {
	pool := &c.loop.memory.pool
	switch {
	case c.flags&blocked != 0:
		c.out.Append(pool, b, max(parkedChunk, min(c.out.Len(), buffer.CorkSize)))
	case len(b) >= direct && c.flags&layered == 0:
		c.writeThrough(b, nil)
	default:
		if c.flags&listed != 0 && c.out.Empty() {
			c.loop.cork(c)
		}
		c.out.Append(pool, b, buffer.CorkSize)
	}
}

// Writev writes all bufs in order, like one Write of them joined. For the limits, too, it is one
// Write.
func (c *Conn) Writev(bufs ...[]byte) (int, error) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	if err := c.mayWrite(); err != nil || n == 0 {
		return 0, err
	}
	// A header and a large payload are not copied.
	if len(bufs) == 2 && n >= direct && c.flags&(blocked|layered) == 0 {
		c.writeThrough(bufs[0], bufs[1])
		c.written()
		return n, nil
	}
	left := n
	for _, b := range bufs {
		c.add(b)
		c.written()
		if left -= len(b); c.state == ended { // the connection is broken; a frozen one goes on
			c.leaveUnsent(left)
			break
		}
	}
	return n, nil
}

// AvailableBuffer returns an empty slice with a capacity of at least 16 KiB. Append to it and pass
// it to Write at once, which then does not copy. It is valid until the next call of a method of
// Conn.
func (c *Conn) AvailableBuffer() []byte {
	if c.flags&(writeClosed|blocked) != 0 || c.out.Crowded() {
		return c.loop.memory.scratch[:0]
	}
	if c.flags&listed != 0 && c.out.Empty() {
		c.loop.cork(c)
	}
	c.touch()
	return c.out.Available(&c.loop.memory.pool)
}

// Reserve is AvailableBuffer for a short message, and faster: it returns an empty slice with a
// capacity of n. Append to it and pass it to Commit or Write at once: nothing is sent before. It
// returns nil if that is not possible; then use AvailableBuffer. That is so if there is no room, if
// nothing was written in this delivery yet, if the peer does not keep up, or if the connection
// accepts no more bytes.
func (c *Conn) Reserve(n int) []byte {
	if c.flags&(writeClosed|blocked|touched) != touched {
		return nil
	}
	return c.out.Reserve(n)
}

// Commit is Write for what Reserve returned, with up to n bytes appended. It panics if b is
// anything else, or empty, or if the connection was written to in between.
func (c *Conn) Commit(b []byte) {
	if !c.out.Commit(b) {
		panic(errCommit)
	}
}

var errCommit = errors.New("engine: Commit of what Reserve has not just returned")

// acceptsMore returns the error if the connection accepts no more bytes.
func (c *Conn) acceptsMore() error {
	if c.flags&writeClosed != 0 {
		if c.state == open {
			return ErrWriteClosed
		}
		return ErrClosed
	}
	c.loop.checkTurn()
	return nil
}

// mayWrite returns the error if no more bytes may be written.
func (c *Conn) mayWrite() error {
	if err := c.acceptsMore(); err != nil {
		return err
	}
	if c.out.Len() > c.loop.config.MaxOutbound {
		err := &limitError{ErrOutboundLimit, c.loop.config.MaxOutbound}
		c.end(err)
		return err
	}
	return nil
}

// written is called after bytes were added to the queue. It flushes a full cork at once.
func (c *Conn) written() {
	if c.out.Len() >= buffer.CorkSize && c.flags&blocked == 0 {
		c.flush()
	}
	c.touch()
}

// writeThrough writes what is corked, then a and b, in one system call. It queues what is left of
// them.
func (c *Conn) writeThrough(a, b []byte) {
	l := c.loop
	corked := c.out.Len()
	v := c.out.Vector(l.memory.vector[:0:driver.MaxIovecs-2], math.MaxInt)
	if size(v) < corked { // too many small messages to go with a and b
		if c.flush(); c.state == ended {
			c.leaveUnsent(len(a) + len(b))
			return
		}
		corked = c.out.Len()
		if corked > 0 {
			c.out.Append(&l.memory.pool, a, min(len(a)+len(b), buffer.CorkSize))
			c.out.Append(&l.memory.pool, b, min(len(b), buffer.CorkSize))
			return
		}
		v = v[:0]
	}
	v = append(v, a, b)
	n, err := l.sockets.Writev(int(c.fd), v)
	l.stats.Writes++
	l.stats.BytesWritten += uint64(n)
	if l.traffic != nil {
		l.countTraffic(c, 0, n)
	}
	clear(v) // do not keep the caller's memory alive
	if err != nil && err != syscall.EAGAIN {
		c.fail(err)
		c.leaveUnsent(len(a) + len(b))
		return
	}
	c.out.Discard(&l.memory.pool, min(n, corked))
	n -= min(n, corked)
	left := len(a) + len(b) - n
	if n < len(a) {
		c.out.Append(&l.memory.pool, a[n:], min(left, buffer.CorkSize))
		n = len(a)
	}
	c.out.Append(&l.memory.pool, b[n-len(a):], min(left, buffer.CorkSize))
	c.progress()
	if c.out.Len() > 0 {
		c.block(true)
	}
}

// leaveUnsent notes that n bytes, which a Write has accepted, are not even queued, since that Write
// has shown that c is broken.
func (c *Conn) leaveUnsent(n int) {
	if n == 0 {
		return
	}
	if u, ok := c.err.(*UnsentError); ok { // of the same Writev
		u.Bytes += n
		return
	}
	c.err = &UnsentError{Reason: c.err, Bytes: c.out.Len() + n}
	c.out.Abandon(&c.loop.memory.pool) // or finish would tell of these once more
}

func size(v [][]byte) (n int) {
	for _, b := range v {
		n += len(b)
	}
	return n
}

// flushTurn is how much flush writes at a time, about. A peer that has let 16 MiB wait may take
// them as fast as they are written, which takes 10 ms and more with TLS or in small messages. What
// is left waits for the driver to report again that the socket is writable.
const flushTurn = 1 << 20

// flush writes the queue until it is empty, the kernel takes no more, or it has written enough for
// now. After an error the queue is left as it is.
func (c *Conn) flush() {
	if c.flags&layered != 0 {
		c.flushSealed()
		return
	}
	l := c.loop
	for took := 0; c.out.Len() > 0; {
		var n int
		var err error
		head, only := c.out.Head()
		if only {
			head = head[:min(len(head), flushTurn)]
			n, err = l.sockets.Write(int(c.fd), head)
		} else {
			v := c.out.Vector(l.memory.vector[:0], flushTurn)
			n, err = l.sockets.Writev(int(c.fd), v)
			clear(v) // do not keep a shared message alive
		}
		l.stats.Writes++
		l.stats.BytesWritten += uint64(n)
		if l.traffic != nil {
			l.countTraffic(c, 0, n)
		}
		if err != nil && err != syscall.EAGAIN {
			c.fail(err)
			return
		}
		if only && n == c.out.Len() { // the usual case
			c.out.Clear(&l.memory.pool)
			c.flags &^= blocked
			if c.state == closing {
				c.progress()
			}
			return
		}
		c.out.Discard(&l.memory.pool, n)
		if c.state == closing {
			c.progress()
		}
		took += n
		if err != nil || only || took >= flushTurn && c.out.Len() > 0 {
			c.out.Park(&l.memory.pool)
			c.block(took > 0)
			return
		}
	}
	c.flags &^= blocked
	c.out.Release(&l.memory.pool)
}

// block notes that the kernel takes no more of the queue. progress is whether it has just taken
// something.
func (c *Conn) block(progress bool) {
	l := c.loop
	if w := c.out.Wait(); progress || w.Since == 0 {
		*w = buffer.Wait{Since: uint32(l.tick)}
	}
	if c.flags&blocked == 0 {
		c.flags |= blocked
		if l.config.WriteTimeout > 0 && c.state == open {
			c.arm()
		}
	}
}
