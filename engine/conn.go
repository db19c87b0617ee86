package engine

import (
	"sync/atomic"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// direct is the size from which a Write goes to the kernel at once, together with what is corked: copying it to the cork
// first would cost more than the system call that the copy may save. It must stay below buffer.Room.
const direct = 16 << 10

// Conn is a connection. Its methods may be called on its loop only: in the calls of its Protocol, in functions that
// Handle.Post, Engine.Post and AfterFunc run, and in the accept function. For other goroutines there is Handle.
//
// A Conn that is closed stays closed: it is never used again for another connection, and its methods return ErrClosed
// or do nothing.
//
// It is 112 bytes, the size class that the memory promise is built on; buffers come from the loop's pool when there is
// something to keep, and timers are four-byte names of nodes in the loop's wheel.
type Conn struct {
	proto  Protocol
	loop   *Loop
	in     *buffer.Chunk // received and not consumed
	out    buffer.Queue  // accepted by Write and not taken by the kernel
	timers *Timer        // AfterFunc's, a list
	err    error         // the reason, once there is one

	fd       int32
	slot     uint32
	gen      uint32
	timer    wheel.ID   // the next of the two deadlines below, or earlier
	idle     wheel.Tick // the idle timeout; 0: none
	active   wheel.Tick // when the last byte arrived
	deadline wheel.Tick // the absolute deadline; when draining the linger deadline; 0: none

	flags     flags
	state     state
	abilities uint8
	closed    atomic.Bool // state == closed, for Handle
}

type flags uint32

const (
	paused      flags = 1 << iota // PauseRead
	throttled                     // outbound went above the high watermark and is not yet down to the low one
	readClosed                    // the peer's FIN was read
	writeClosed                   // CloseWrite or Close: nothing more is accepted
	finSent                       // shutdown(SHUT_WR) was called
	blocked                       // the kernel took less than we had: wait for Writable
	touched                       // settle has something to do at the end of the delivery or turn
	swapped                       // SetProtocol was called during Feed
	refeed                        // offer the unconsumed bytes again without waiting for more
	yielded                       // the same, but not before the others had their turn
	listed                        // in the loop's list of touched connections
	wantRead                      // registered for reading
	wantWrite                     // registered for writing
	cutOff                        // ended without draining
	connecting                    // of Dial, not connected yet
	lagging                       // Loop.grace has its last chance to keep up
	released                      // Release was called
	counted                       // Loop.origins knows where it came from
	finHeld                       // the peer's FIN has come before the Protocol was fed all
)

// token names the connection to the driver.
func (c *Conn) token() driver.Token { return driver.MakeToken(c.slot, c.gen) }

// Handle returns the name by which any goroutine may reach the connection.
func (c *Conn) Handle() Handle { return Handle{c} }

// Loop is the number of the connection's loop, from 0 to Config.Loops-1. It never changes.
func (c *Conn) Loop() int { return c.loop.index }

// Protocol is the connection's Protocol; nil when it is closed, and in the accept function.
func (c *Conn) Protocol() Protocol { return c.proto }

// SetProtocol replaces the Protocol; the old one gets no call any more, not even Closed. Called during Feed, it makes the
// bytes that this Feed does not consume the first that the new Protocol is fed.
func (c *Conn) SetProtocol(p Protocol) {
	if c.state == closed {
		return
	}
	c.proto = p
	c.abilities = abilities(p)
	c.flags |= swapped
	if c.in != nil {
		c.again()
	}
}

// Write accepts all of b or, with an error, nothing of it. The bytes are gathered and go out when the current delivery
// or turn of the loop ends, a large b at once; what the kernel does not take is queued, and sent in order. b is copied
// where necessary and belongs to the caller again when Write returns.
//
// The error is ErrClosed, ErrWriteClosed, or ErrOutboundLimit, which also closes the connection. That a connection is
// found broken while writing is told to Closed.
func (c *Conn) Write(b []byte) (int, error) {
	if c.flags&(writeClosed|blocked) == 0 && c.out.Commit(b) { // from AvailableBuffer
		if c.flags&touched == 0 || c.out.Len() >= buffer.CorkSize {
			c.written()
		}
		return len(b), nil
	}
	if err := c.mayWrite(); err != nil || len(b) == 0 {
		return 0, err
	}
	l := c.loop
	switch {
	case c.flags&blocked != 0:
		c.out.Append(&l.pool, b, max(parkedChunk, min(c.out.Len(), buffer.CorkSize)))
	case len(b) >= direct:
		c.writeThrough(b, nil)
	default:
		c.out.Append(&l.pool, b, buffer.CorkSize)
	}
	c.written()
	return len(b), nil
}

// Writev is Write of all bufs in order, as one.
func (c *Conn) Writev(bufs ...[]byte) (int, error) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	if len(bufs) == 2 && n >= direct && c.flags&blocked == 0 { // a header and a large payload, without a copy
		if err := c.mayWrite(); err != nil {
			return 0, err
		}
		c.writeThrough(bufs[0], bufs[1])
		c.written()
		return n, nil
	}
	for _, b := range bufs {
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// parkedChunk is the least size of a chunk that is added to the queue of a peer that does not keep up.
const parkedChunk = 4 << 10

// AvailableBuffer returns an empty slice with a capacity of at least 16 KiB. It is meant to be appended to and passed to
// an immediately succeeding Write, which then does not copy. It is valid until the next call of a method of Conn.
func (c *Conn) AvailableBuffer() []byte {
	if c.flags&(writeClosed|blocked) != 0 {
		return c.loop.scratch[:0]
	}
	b := c.out.Available(&c.loop.pool)
	c.touch()
	return b
}

// mayWrite says why nothing can be written any more.
func (c *Conn) mayWrite() error {
	if c.flags&writeClosed != 0 {
		if c.state == open {
			return ErrWriteClosed
		}
		return ErrClosed
	}
	if c.out.Len() > c.loop.config.MaxOutbound {
		c.end(&limitError{ErrOutboundLimit, c.loop.config.MaxOutbound})
		return c.err
	}
	return nil
}

// written follows every addition to the queue: a full cork does not wait for the end of the delivery.
func (c *Conn) written() {
	if c.out.Len() >= buffer.CorkSize && c.flags&blocked == 0 {
		c.flush()
	}
	c.touch()
}

// writeThrough writes what is corked, then a and b, in one system call, and queues what is left of them.
func (c *Conn) writeThrough(a, b []byte) {
	l := c.loop
	corked := c.out.Len()
	v := c.out.Vector(l.vector[: 0 : driver.MaxIovecs-2])
	if size(v) < corked { // so many small messages that they do not go with a and b
		if c.flush(); c.state >= ended {
			return
		}
		if corked = c.out.Len(); corked > 0 {
			c.out.Append(&l.pool, a, min(len(a)+len(b), buffer.CorkSize))
			c.out.Append(&l.pool, b, min(len(b), buffer.CorkSize))
			return
		}
		v = v[:0]
	}
	v = append(v, a, b)
	n, err := l.driver.Writev(int(c.fd), v)
	l.stats.Writes++
	l.stats.BytesWritten += uint64(n)
	if l.watched != nil {
		l.watch(c, 0, n)
	}
	clear(v) // the loop must not keep the caller's memory alive
	if err != nil && err != syscall.EAGAIN {
		c.broken(err)
		return
	}
	c.out.Discard(&l.pool, min(n, corked))
	n -= min(n, corked)
	left := len(a) + len(b) - n
	if n < len(a) {
		c.out.Append(&l.pool, a[n:], min(left, buffer.CorkSize))
		n = len(a)
	}
	c.out.Append(&l.pool, b[n-len(a):], min(left, buffer.CorkSize))
	c.progress()
	if c.out.Len() > 0 {
		c.block(true)
	}
}

func size(v [][]byte) (n int) {
	for _, b := range v {
		n += len(b)
	}
	return n
}

// flush writes the queue until it is empty or the kernel takes no more. The queue is empty after an error, too.
func (c *Conn) flush() {
	l := c.loop
	for took := 0; c.out.Len() > 0; {
		var n int
		var err error
		head, only := c.out.Head()
		if only {
			n, err = l.driver.Write(int(c.fd), head)
		} else {
			n, err = l.driver.Writev(int(c.fd), c.out.Vector(l.vector[:0]))
		}
		l.stats.Writes++
		l.stats.BytesWritten += uint64(n)
		if l.watched != nil {
			l.watch(c, 0, n)
		}
		if err != nil && err != syscall.EAGAIN {
			c.broken(err)
			return
		}
		c.out.Discard(&l.pool, n)
		c.progress()
		took += n
		if err != nil || only && n < len(head) {
			c.out.Park(&l.pool)
			c.block(took > 0)
			return
		}
	}
	c.flags &^= blocked
	c.out.Release(&l.pool)
}

// block notes that the kernel takes no more of what is queued, and whether it has taken anything just now.
func (c *Conn) block(progress bool) {
	l := c.loop
	h := c.out.First()
	l.pool.Hold(h, uint64(c.token()))
	if progress || h.Stamp == 0 {
		h.Stamp, h.Note = uint32(l.tick), 0
	}
	if c.flags&blocked == 0 {
		c.flags |= blocked
		if l.config.WriteTimeout > 0 && c.state == open {
			c.arm()
		}
	}
}

// Outbound is the number of bytes that Write accepted and the kernel has not taken yet.
func (c *Conn) Outbound() int { return c.out.Len() }

// PauseRead stops reading from the peer until ResumeRead: the kernel's buffers fill, and the peer has to wait. A Feed
// that is under way may return early and will be offered the rest after ResumeRead. While reading is paused the idle
// timeout does not run, and neither a FIN nor a reset of the peer is noticed unless there is something to write.
func (c *Conn) PauseRead() {
	c.flags |= paused
	c.touch()
}

// Yield is what a Feed calls after each message that it has cut from its input. True tells it to return without going on to
// the next one: PauseRead is in force, the connection is closing, or it has had its share of this turn
// (Config.TurnMessages), when the rest is offered again in the next. It also counts the message for Stats.
func (c *Conn) Yield() bool {
	l := c.loop
	l.stats.Messages++
	l.messages--
	return c.flags&paused != 0 || c.state != open || l.messages <= 0
}

// ResumeRead ends PauseRead.
func (c *Conn) ResumeRead() {
	if c.flags&paused != 0 && c.state == open {
		c.flags &^= paused
		c.active = c.loop.tick
		c.again()
	}
}

// again has settle offer the unconsumed bytes once more.
func (c *Conn) again() {
	c.flags |= refeed
	c.touch()
}
