package engine

import (
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

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
	loop   *loop
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
	deadline wheel.Tick // the absolute deadline; when closing the linger deadline; 0: none

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
	cutOff                        // ended without closing
	connecting                    // of Dial, not connected yet
	lagging                       // Loop.grace has its last chance to keep up
	released                      // Release was called
	counted                       // Loop.origins knows where it came from
	greedy                        // SetGreedy
	finHeld                       // the peer's FIN has come before the Protocol was fed all
)

// token names the connection to the driver.
func (c *Conn) token() driver.Token { return driver.MakeToken(c.slot, c.gen) }

// Handle returns the name by which any goroutine may reach the connection.
func (c *Conn) Handle() Handle { return Handle{c} }

// Loop is the number of the connection's loop, from 0 to Config.Loops-1. It never changes.
func (c *Conn) Loop() int { return c.loop.index }

// Engine is the connection's engine.
func (c *Conn) Engine() *Engine { return c.loop.engine }

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
	c.flags &^= greedy
	c.flags |= swapped
	if c.in != nil {
		c.offerAgain()
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
	c.loop.messages--
	return c.flags&paused != 0 || c.state != open || c.loop.messages <= 0
}

// SetGreedy says whether the Protocol is in the midst of something large. If so, the loop reads on until nothing is there, or the
// connection has had its share of the turn twice (Config.TurnBytes): what is finished now takes up no memory while others have
// their turns. It also asks the Protocol where to read to, if that is a Bufferer. A Protocol that leaves more than 4 KiB
// unconsumed is read on without it. SetProtocol switches it off.
func (c *Conn) SetGreedy(on bool) {
	if c.flags &^= greedy; on {
		c.flags |= greedy
	}
}

// ResumeRead ends PauseRead.
func (c *Conn) ResumeRead() {
	if c.flags&paused != 0 && c.state == open {
		c.flags &^= paused
		c.active = c.loop.tick
		c.offerAgain()
	}
}

// offerAgain has settle offer the unconsumed bytes once more.
func (c *Conn) offerAgain() {
	c.flags |= refeed
	c.touch()
}
