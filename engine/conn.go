package engine

import (
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// Conn is a connection. Its methods may be called only on its loop: in calls of its Protocol, in
// the accept function, and in functions given to Handle.Post, Engine.Post, Each and AfterFunc.
// Other goroutines use its Handle. Handle, Loop and Engine may be called anywhere.
//
// A method that is called by another goroutine while the loop waits for events, or has ended,
// panics with a message that says to use Handle. While the loop is running, such a call is not
// detected: it is a data race, which the race detector finds, and may corrupt the connection.
//
// A closed Conn stays closed. It is never used for another connection, and its methods return
// ErrClosed or do nothing.
type Conn struct {
	// Its 112 bytes are a size class, on which the promised memory per connection is based. Buffers
	// come from the loop's pool when there is something to keep.

	proto  Protocol
	loop   *loop
	in     *buffer.Chunk // received and not consumed
	out    buffer.Queue  // accepted by Write and not taken by the kernel
	timers *Timer        // list of AfterFunc's timers
	err    error         // the reason for Closed, once there is one

	fd    int32
	slot  uint32 // in loop.conns
	gen   uint32 // of the slot
	times times

	flags     flags
	state     state
	abilities uint8
	share     share
	fate      atomic.Uint32 // for Handle: 0 until it is closed, then why its methods fail
}

// times are what a connection's one timer is set by.
type times struct {
	timer    wheel.ID   // fires at the earliest of the times below, or before
	idle     wheel.Tick // the idle timeout, or that of SetReplyTimeout; 0: none
	active   wheel.Tick // when the last byte arrived
	deadline wheel.Tick // of SetTimeout; when to look next if patient or closing; 0: none
}

type flags uint32

const (
	paused       flags = 1 << iota // PauseRead
	throttled                      // has been above the high watermark, not yet down to the low one
	readClosed                     // the peer's FIN was read
	writeClosed                    // CloseWrite or Close was called: no more bytes are accepted
	finSent                        // shutdown(SHUT_WR) was called
	blocked                        // the kernel took less than there was: wait for Writable
	touched                        // see dirtyList
	swapped                        // SetProtocol was called during Feed
	refeed                         // offer the unconsumed bytes again, without waiting for more
	yielded                        // the same, but after the others have had their turn
	listed                         // see dirtyList
	wantRead                       // registered for reading
	wantWrite                      // registered for writing
	cutOff                         // ended without closing first
	connecting                     // by Dial, and not connected yet
	lagging                        // loop.grace has its timer
	released                       // Release was called
	counted                        // loop.accepting.admitted has its listener
	greedy                         // SetGreedy
	ownWater                       // loop.watermarks has its watermarks
	finHeld                        // the peer's FIN has come, before the Protocol had everything
	patient                        // SetReplyTimeout: its time is in times.idle
	acknowledged                   // the peer had everything at the last look of a patient deadline
	looked                         // loop.looks has what the kernel told
	postponed                      // the deadline has come, and waits for what is to be read
	layered                        // loop.layers has its layer
	proxied                        // loop.headers has its PROXY header
	// the Observer is not told: in accept, no PROXY header or handshake yet
	unannounced
	asked  // the methods of err were called: see loop.cause
	told   // the Protocol was told of the engine's Shutdown
	handed // another process has it: see loop.handed
	ending // in dirtyList.ends
)

// token returns the connection's name for the driver.
func (c *Conn) token() driver.Token { return driver.MakeToken(c.slot, c.gen) }

// Handle returns a Handle for other goroutines.
func (c *Conn) Handle() Handle { return Handle{c} }

// Loop returns the number of the connection's loop, from 0 to Config.Loops-1. It never changes.
func (c *Conn) Loop() int { return c.loop.index }

// Engine returns the connection's engine.
func (c *Conn) Engine() *Engine { return c.loop.engine }

// Now returns the time since the loop began, as of the start of the current delivery or turn. It is
// a clock that costs nothing.
func (c *Conn) Now() time.Duration { return c.loop.now }

// Protocol returns the connection's Protocol. It is nil in the accept function, and after Closed.
func (c *Conn) Protocol() Protocol { return c.proto }

// SetProtocol replaces the Protocol. The old one gets no more calls, not even Closed. When it is
// called during Feed, the new Protocol is fed the bytes that this Feed does not consume. If the
// peer has closed its half before, or the engine shuts down, the new Protocol is told too: see
// ReadCloser and Shutdowner.
func (c *Conn) SetProtocol(p Protocol) {
	needFunc("SetProtocol", "the Protocol", p == nil)
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
	if c.flags&readClosed != 0 && c.serves() {
		c.touch()
		c.flags |= finHeld
	}
	if c.flags&told != 0 && c.serves() {
		c.flags &^= told
		c.loop.untold = append(c.loop.untold, c)
	}
}
