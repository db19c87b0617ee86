package engine

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
)

// turnReads is how many reads take up a connection's share of a turn, however little they give.
const turnReads = 64

// reading is how much of its turn the connection that is being read from has used.
type reading struct {
	token       driver.Token // of the connection; 0: none in this turn
	bytes       int          // that may still be read from it in this turn
	messageCost int          // the least that a message takes of them
}

// smallRest is the size up to which unconsumed bytes are copied in front of the next read: a copy that costs less than
// a read into a small buffer would. More than that is read behind where it lies, in a chunk that grows by doubling.
const smallRest = 4 << 10

// PauseRead stops reading from the peer until ResumeRead: the kernel's buffers fill, and the peer has to wait. A Feed
// that is under way may return early and will be offered the rest after ResumeRead. While reading is paused the idle
// timeout does not run, and neither a FIN nor a reset of the peer is noticed unless there is something to write.
func (c *Conn) PauseRead() {
	c.touch()
	c.flags |= paused
}

// ResumeRead ends PauseRead.
func (c *Conn) ResumeRead() {
	if c.flags&paused != 0 && c.state == open {
		c.touch()
		c.flags &^= paused
		c.times.active = c.loop.tick
		c.offerAgain()
	}
}

// Reading says whether the engine reads from the peer: not after PauseRead, and not while it is OverHighWater.
func (c *Conn) Reading() bool { return c.flags&(paused|throttled|readClosed) == 0 && c.state == open }

// Yield is what a Feed calls after each message that it has cut from its input. True tells it to return without going on to
// the next one: PauseRead is in force, the connection is closing, or it has had its share of this turn
// (Config.TurnMessages), when the rest is offered again in the next. It also counts the message for Stats.
func (c *Conn) Yield() bool {
	c.loop.callback.messages--
	return c.flags&paused != 0 || c.state != open || c.loop.callback.messages <= 0
}

// SetGreedy says whether the Protocol is in the midst of something large. If so, the loop reads on until nothing is there, or the
// connection has had its share of the turn twice (Config.TurnBytes): what is finished now takes up no memory while others have
// their turns. It also asks the Protocol where to read to, if that is a Bufferer. A Protocol that leaves more than 4 KiB
// unconsumed is read on without it. SetProtocol switches it off.
func (c *Conn) SetGreedy(on bool) {
	if c.state == closed {
		return
	}
	c.loop.checkTurn()
	c.flags &^= greedy
	if on {
		c.flags |= greedy
	}
}

// keepsReading says whether c is in the midst of something large, by what its Protocol says or has left.
func (c *Conn) keepsReading() bool {
	return c.state == open && (c.flags&greedy != 0 || c.in != nil && c.in.Len() > smallRest)
}

// offerAgain has settle offer the unconsumed bytes once more.
func (c *Conn) offerAgain() {
	c.touch()
	c.flags |= refeed
}

// inputBuffer is where to read to if c has nothing unconsumed.
func (l *loop) inputBuffer(c *Conn) []byte {
	if c.flags&greedy == 0 || c.abilities&hasInputBuffer == 0 || c.state != open {
		return l.memory.input
	}
	l.enter(c)
	b := c.proto.(Bufferer).InputBuffer(l.memory.input)
	l.exit()
	if len(b) == 0 {
		return l.memory.input
	}
	return b
}

// join puts b behind the bytes that c has not consumed, and says whether all of it lies in c's own chunk.
func (l *loop) join(c *Conn, b []byte) (all []byte, chunked bool) {
	if c.in == nil {
		return b, false
	}
	n := c.in.Len()
	if n <= smallRest && n+len(b) <= len(l.memory.input) && buffer.Same(b, l.memory.input[n:]) {
		return l.memory.input[:n+len(b)], false
	}
	if buffer.Same(b, c.in.Free()) {
		c.in.Fill(len(b))
		return c.in.Bytes(), true
	}
	if len(c.in.Free()) < len(b) { // a driver with buffers of its own
		c.in = l.memory.pool.Resize(c.in, 2*(n+len(b)))
	}
	c.in.Append(b)
	return c.in.Bytes(), true
}

// feed offers b to the Protocol, and to the next one if it swaps itself, and keeps what they leave.
func (l *loop) feed(c *Conn, b []byte, chunked bool) {
	for swap := true; swap && c.state == open && len(b) > 0; {
		c.flags &^= swapped
		l.enter(c)
		l.callback.feeding = c
		l.callback.messages = l.config.TurnMessages
		n, err := c.proto.Feed(b)
		l.exit()
		l.countMessages()
		l.callback.feeding = nil
		if uint(n) > uint(len(b)) {
			n, err = len(b), fmt.Errorf("engine: %T.Feed consumed %d bytes of %d", c.proto, n, len(b))
		}
		b = b[n:]
		if err != nil {
			c.CloseWith(err)
		}
		swap = c.flags&swapped != 0
		if l.callback.messages <= 0 && len(b) > 0 && c.flags&paused == 0 && c.state == open {
			c.flags |= refeed | yielded
			c.touch()
			break
		}
	}
	c.keep(b, chunked)
}

// countMessages adds what the last Feed has delivered.
func (l *loop) countMessages() {
	l.stats.Messages += uint64(l.config.TurnMessages - l.callback.messages)
}

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
			c.in = l.memory.pool.Resize(in, len(rest))
		}
	case in == nil || in.Cap() < len(rest):
		c.dropInput()
		c.in = l.memory.pool.Get(len(rest))
		c.in.Append(rest)
	default:
		in.Reset()
		in.Append(rest)
	}
	l.memory.pool.Hold(c.in, uint64(c.token()))
	if len(rest) > l.config.MaxInbound && c.flags&(paused|released|yielded) == 0 {
		c.CloseWith(&limitError{ErrInboundLimit, l.config.MaxInbound})
	}
}

func (c *Conn) dropInput() {
	if c.in != nil && c.loop.callback.feeding != c {
		c.loop.memory.pool.Put(c.in)
		c.in = nil
	}
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
