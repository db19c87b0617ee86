package engine

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/buffer"
)

// smallRest is the size up to which unconsumed bytes are copied in front of the next read. That
// costs less than reading into a small buffer. A larger rest stays where it is, in a chunk that
// grows by doubling, and the next read goes behind it.
const smallRest = 4 << 10

// PauseRead stops reading from the peer until ResumeRead. The kernel's buffers fill, and the peer
// has to wait. A Feed in progress may return early; it is offered the rest after ResumeRead. While
// reading is paused, the idle timeout does not run, and a FIN of the peer goes unnoticed. A reset
// ends the connection with ErrReset, whatever was not read.
func (c *Conn) PauseRead() {
	c.touch()
	c.flags |= paused
}

// ResumeRead ends PauseRead.
func (c *Conn) ResumeRead() {
	if c.flags&paused != 0 && c.serves() {
		c.touch()
		c.flags &^= paused
		c.times.active = c.loop.tickNow()
		c.offerAgain()
	}
}

// Reading reports whether the engine reads from the peer. It does not after PauseRead, and while
// Pressure is OverHighWater.
func (c *Conn) Reading() bool { return c.flags&(paused|throttled|readClosed) == 0 && c.state == open }

// SetGreedy makes the loop keep reading until the socket is empty or the connection has used twice
// its TurnBytes. Set it in the middle of a large message, so that its buffers are freed sooner.
// While it is on, a Bufferer is asked where to read to. A Protocol that leaves more than 4 KiB
// unconsumed is treated like that without it. SetProtocol switches it off.
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

// keepsReading reports whether c is in the middle of something large, because of SetGreedy or of
// what is left unconsumed.
func (c *Conn) keepsReading() bool {
	return c.state == open && (c.flags&greedy != 0 || c.in != nil && c.in.Len() > c.smallRest())
}

// smallRest returns the size up to which its unconsumed bytes are a smallRest. Behind a layer the
// beginning of a record is unconsumed most of the time.
func (c *Conn) smallRest() int {
	if c.flags&layered != 0 {
		return min(smallRest+layerRecord, len(c.loop.memory.input)/2)
	}
	return smallRest
}

// offerAgain makes settle offer the unconsumed bytes again.
func (c *Conn) offerAgain() {
	c.touch()
	c.flags |= refeed
}

// inputBuffer returns where to read to if c has nothing unconsumed; nil: it is not read from any
// more.
func (l *loop) inputBuffer(c *Conn) []byte {
	if c.flags&(greedy|layered) != greedy || c.abilities&hasInputBuffer == 0 || c.state != open {
		return l.memory.input
	}
	l.enter(c)
	b := c.proto.(Bufferer).InputBuffer(l.memory.input)
	l.exit()
	if c.flags&touched != 0 { // it did more than it was asked for
		c.mark()
		if !c.Reading() {
			return nil
		}
	}
	if len(b) == 0 {
		return l.memory.input
	}
	return b
}

// join puts b behind the bytes that c has not consumed. chunked is whether all of it is in c's own
// chunk.
func (l *loop) join(c *Conn, b []byte) (all []byte, chunked bool) {
	if c.in == nil {
		return b, false
	}
	n := c.in.Len()
	if n <= c.smallRest() && n+len(b) <= len(l.memory.input) && buffer.Same(b, l.memory.input[n:]) {
		return l.memory.input[:n+len(b)], false
	}
	if buffer.Same(b, c.in.Free()) {
		c.in.Fill(len(b))
		return c.in.Bytes(), true
	}
	if len(c.in.Free()) < len(b) { // the driver has buffers of its own
		c.in = l.memory.pool.Resize(c.in, 2*(n+len(b)))
	}
	c.in.Append(b)
	return c.in.Bytes(), true
}

// feed offers b to the Protocol, and keeps what it leaves: all of it if c has used its share of the
// turn. It returns what messages and work cost of the share.
func (l *loop) feed(c *Conn, b []byte, chunked bool) (cost int) {
	left := l.shareLeft(c)
	if left <= 0 {
		if c.flags&paused == 0 {
			c.flags |= refeed | yielded
			c.touch()
		}
		c.keep(b, chunked)
		return 0
	}
	messages := l.config.TurnMessages
	if left < l.config.TurnBytes && l.reading.messageCost > 0 {
		messages = min(messages, max(left/l.reading.messageCost, 1))
	}
	l.callback.left, l.callback.messages, l.callback.work = left, messages, 0
	l.callback.look = messages - firstLook
	l.callback.wrote, l.callback.writes = l.stats.BytesWritten, l.stats.Writes
	if c.flags&layered != 0 {
		l.feedOpened(c, b, chunked)
	} else {
		c.keep(l.offer(c, b, 0, chunked), chunked)
	}
	return max((messages-l.callback.messages)*l.reading.messageCost, l.feedWork())
}

// offer offers b to the Protocol, and to the next one if the Protocol replaces itself, and returns
// what they leave. behind is how many bytes of a record that is not whole stand behind b.
func (l *loop) offer(c *Conn, b []byte, behind int, chunked bool) (rest []byte) {
	for swap := true; swap && c.state == open && len(b) > 0; {
		c.flags &^= swapped
		l.enter(c)
		l.callback.feeding, l.callback.input, l.callback.chunked = c, b[:len(b)+behind], chunked
		l.callback.counted, l.callback.behind, l.callback.flooded = l.callback.messages, behind, false
		n, err := c.proto.Feed(b)
		l.exit()
		l.countMessages()
		l.callback.feeding, l.callback.input = nil, nil
		if uint(n) > uint(len(b)) {
			n, err = len(b), fmt.Errorf("engine: %T.Feed consumed %d bytes of %d", c.proto, n, len(b))
		}
		b = b[n:]
		if err != nil {
			c.CloseWith(err)
		}
		swap = c.flags&(swapped|paused) == swapped
		if c.flags&(swapped|unannounced) == swapped|unannounced { // its PROXY header has come
			l.announceInFeed(c, b, chunked)
		}
		if len(b) > 0 && (l.turnUsed() || l.callback.flooded) && c.flags&paused == 0 && c.state == open {
			c.flags |= refeed | yielded
			c.touch()
			break
		}
	}
	return b
}

// announceInFeed is announce for a Protocol that is yet to be offered b. If Opened calls
// runtime.Goexit, the caller does not go on: then b is offered again.
func (l *loop) announceInFeed(c *Conn, b []byte, chunked bool) {
	returned := false
	defer func() {
		if !returned {
			c.keep(b, chunked)
			c.offerAgain()
		}
	}()
	l.announce(c)
	returned = true
}

// interrupted ends a Feed that has panicked. If it has released c, or Recovered is going to, all
// that it was offered goes with the connection: it cannot tell what it has consumed.
func (l *loop) interrupted(c *Conn) {
	l.countMessages()
	input, chunked := l.callback.input, l.callback.chunked
	l.callback.feeding, l.callback.input = nil, nil
	if c.state == open || c.flags&released != 0 && c.state < closed {
		if c.flags&layered != 0 { // a Feed before this one may have consumed a part
			l.layers.all.At(c.slot).plain = uint32(len(input) - l.callback.behind)
		}
		c.flags |= yielded // caught closes c, not a limit
		c.keep(input, chunked)
	}
}

// countMessages adds the messages of the last Feed.
func (l *loop) countMessages() {
	l.stats.Messages += uint64(l.callback.counted - l.callback.messages)
}

// keep keeps what was not consumed until the next delivery. If chunked, rest is the end of what
// c.in holds.
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
	if c.unconsumed(rest) > l.config.MaxInbound && c.flags&(paused|released|yielded) == 0 {
		c.CloseWith(&limitError{ErrInboundLimit, l.config.MaxInbound})
	}
}

func (c *Conn) dropInput() {
	if c.in != nil && c.loop.callback.feeding != c {
		c.loop.memory.pool.Put(c.in)
		c.in = nil
	}
}

// readClosed handles the peer's FIN. A driver that reads ahead may see it while bytes before it
// still wait for Feed: those come first.
func (l *loop) readClosed(c *Conn) {
	if c.state == open && c.flags&(paused|refeed) != 0 {
		return
	}
	c.flags = c.flags&^finHeld | readClosed | touched
	if c.flags&layered != 0 {
		l.streamClosed(c)
	}
	switch {
	case c.state != open:
	case c.abilities&hasReadClosed != 0:
		l.enter(c)
		c.proto.(ReadCloser).ReadClosed()
		l.exit()
	default:
		c.CloseWith(ErrPeerClosed)
	}
	if c.flags&finHeld == 0 { // else the Protocol was replaced: the next turn tells the new one
		c.flags &^= touched
	}
}
