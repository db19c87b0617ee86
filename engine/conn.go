package engine

import (
	"sync/atomic"
	"time"

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

	fd    int32
	slot  uint32 // in loop.conns
	gen   uint32 // of the slot
	times times

	flags     flags
	state     state
	abilities uint8
	closed    atomic.Bool // state == closed, for Handle
}

// times are what a connection's one timer is set by.
type times struct {
	timer    wheel.ID   // fires at the earliest of the times below, or earlier
	idle     wheel.Tick // the idle timeout; 0: none
	active   wheel.Tick // when the last byte arrived
	deadline wheel.Tick // SetTimeout's; when closing the linger deadline; 0: none
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
	ownWater                      // loop.watermarks has the connection's
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

// Now is the time since the loop began, as of the beginning of the current delivery or turn: a clock that costs nothing.
func (c *Conn) Now() time.Duration { return c.loop.now }

// Protocol is the connection's Protocol; nil when it is closed, and in the accept function.
func (c *Conn) Protocol() Protocol { return c.proto }

// SetProtocol replaces the Protocol; the old one gets no call any more, not even Closed. Called during Feed, it makes the
// bytes that this Feed does not consume the first that the new Protocol is fed.
func (c *Conn) SetProtocol(p Protocol) {
	if c.state == closed {
		return
	}
	c.loop.checkTurn()
	c.proto = p
	c.abilities = abilities(p)
	c.flags &^= greedy
	c.flags |= swapped
	if c.in != nil {
		c.offerAgain()
	}
}
