package websocket

import (
	"errors"
	"math"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// ErrSending means that another message is being sent piece by piece, and has not ended.
var ErrSending = errors.New("websocket: another message is being sent piece by piece")

// maxHeld is how many bytes of other messages may wait for the end of one that is sent piece by
// piece.
const maxHeld = 16 << 20

// heldCost is what a held message costs besides its bytes: its place in a slice that grows by
// doubling, and what an allocation is rounded up to.
const heldCost = 128

// heldPart is how much of what is held is sent at a time, by what it costs: there may be more than
// 100,000 messages, and to send them takes 20 to 40 ms.
const heldPart = 256 << 10

// heldPacked is how much of what is held is compressed, about, and how much of one part of what
// came late, or less if that takes as long: see packWork. The rest is sent as it is.
const heldPacked = 64 << 10

// heldHigh is how much may be held before a message of Broadcast finds that the peer does not keep
// up.
const heldHigh = 64 << 10

// outgoing is a message that is being sent piece by piece.
type outgoing struct {
	source *source        // SendFrom's; nil: SendPiece's
	sender wsproto.Sender // of this message, where the connection has none of its own
	held   []held         // messages that wait for its end
	passed int            // of these: none of them may be dropped
	size   int            // their memory
	ended  bool           // the message has: what is held is being sent, in parts
	posted bool           // the next part is
	packed int            // the memory of what was held, not late, and is sent
}

// held is a message that waits.
type held struct {
	op       Opcode
	data     []byte
	plain    bool
	late     bool      // the message that it waits for has ended
	prepared *Prepared // of SendPrepared, which has data; else nil
	slow     engine.SlowPolicy
}

func (h *held) cost() int { return heldCost + len(h.data) }

// SendPiece sends a piece of a message, as one frame. The first one begins the message with op,
// which has no meaning for the others; last ends it. Other messages that are sent meanwhile go out
// behind it; Close does not wait for its end, and drops them: then the reason is an
// *engine.UnsentError. See Send for data, the Pressure and the error; it is ErrSending while
// SendFrom sends.
//
// The message is compressed, where that was agreed on, if the first piece is not below
// Compression.Threshold. Of those that have waited for its end only the first are compressed, 64
// KiB at most.
func (c *Conn) SendPiece(op Opcode, data []byte, last bool) (engine.Pressure, error) {
	if c.flags&sending != 0 && c.rare.outgoing.source != nil {
		return c.conn.Pressure(), ErrSending
	}
	err := c.piece(op, data, last)
	return c.conn.Pressure(), err
}

func (c *Conn) piece(op Opcode, data []byte, last bool) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	if !c.isSending() {
		if err := checkOpcode(op); err != nil {
			return err
		}
		if last {
			return c.send(op, data, false)
		}
		c.begin(new(outgoing))
	}
	s := c.rare.sender
	if s == nil {
		s = &c.rare.outgoing.sender
	}
	f := s.Frame(op, data, last)
	if c.flags&anyBits != 0 { // each piece refers to those before
		c.conn.AddWork(c.packWork(len(data), true))
	}
	err := c.write(&f)
	if last {
		c.sendHeld()
	}
	return err
}

// begin begins a message.
func (c *Conn) begin(o *outgoing) {
	c.flags |= sending
	o.sender = *c.sender()
	c.makeRare().outgoing = o
}

// isSending reports whether a message that is sent piece by piece has not ended. What still waits
// behind one that has ended goes out before that.
func (c *Conn) isSending() bool {
	if c.flags&sending != 0 && c.rare.outgoing.ended {
		c.sendPart(math.MaxInt)
	}
	return c.flags&sending != 0
}

// sendHeld sends what waited for the end of a message: a part of it now, and another one in each of
// the next turns.
func (c *Conn) sendHeld() {
	o := c.rare.outgoing
	o.ended, o.source = true, nil
	c.sendPart(heldPart)
}

// sendPart sends held messages that cost so much, or all. Meanwhile others are held behind them.
// Errors mean that the connection is closing; Close tells.
func (c *Conn) sendPart(most int) {
	o, n, size, late := c.rare.outgoing, 0, 0, 0
	c.flags &^= sending // or they would be held again
	for ; n < len(o.held) && size < most; n++ {
		m := &o.held[n]
		size += m.cost()
		packed := &o.packed
		if m.late {
			packed = &late
		}
		plain := m.plain || *packed >= heldPacked
		if !plain && c.packs(len(m.data)) {
			*packed += c.packWork(len(m.data), c.takesOver()) / packings[1].each
		}
		c.sendOne(m, plain)
	}
	o.size -= size
	c.conn.AddHeld(-size)
	clear(o.held[:n])
	o.held, o.passed = o.held[n:], max(o.passed-n, 0)
	if len(o.held) > 0 {
		c.flags |= sending
		if !o.posted {
			o.posted = true
			c.Handle().Post(func(c *Conn) { c.sendNext(o) }) // an error: it is closed
		}
		return
	}
	if c.rare.outgoing = nil; c.rare.empty() {
		c.freeRare()
	}
	c.sendWaiting()
}

// sendNext sends the next part of o. After Close nothing is sent.
func (c *Conn) sendNext(o *outgoing) {
	if o.posted = false; c.flags&closeSent == 0 && c.rare != nil && c.rare.outgoing == o {
		c.sendPart(heldPart)
	}
}

// sendOne sends a message that was held.
func (c *Conn) sendOne(m *held, plain bool) error {
	if m.prepared != nil {
		return c.sendPrepared(m.prepared, m.slow, plain)
	}
	return c.send(m.op, m.data, plain)
}

// unsent returns the reason of a connection that err has ended before the messages behind o were
// sent.
func (o *outgoing) unsent(err error) error {
	if len(o.held) == 0 {
		return err
	}
	e := engine.UnsentError{Reason: err}
	if before, ok := err.(*engine.UnsentError); ok {
		e = *before
	} else if err == nil {
		e.Reason = engine.ErrClosed
	}
	for _, m := range o.held {
		e.Bytes += len(m.data)
	}
	return &e
}

// hold keeps a message until the one that is being sent has ended. Its data may be kept.
func (c *Conn) hold(m held) error {
	o := c.rare.outgoing
	if o.ended {
		c.sendPart(2 * m.cost()) // so that what is held gets less, however much comes
		if c.flags&sending == 0 {
			return c.sendOne(&m, m.plain)
		}
		m.late = true
	}
	if m.prepared != nil && (o.size > heldHigh || c.conn.Pressure() == engine.OverHighWater) {
		switch m.slow {
		case engine.SlowDropNewest:
			return nil
		case engine.SlowDropOldest:
			c.dropHeld()
		}
	}
	if o.size+m.cost() > maxHeld {
		c.conn.CloseWith(engine.ErrOutboundLimit)
		return engine.ErrOutboundLimit
	}
	o.size += m.cost()
	c.conn.AddHeld(m.cost())
	o.held = append(o.held, m)
	return nil
}

// dropHeld drops the oldest held messages of SlowDropOldest until no more than half of heldHigh is
// left, so that it need not look at all of them each time. Nor does it look again at those before
// the first that may be dropped: there may be very many.
func (c *Conn) dropHeld() {
	o := c.rare.outgoing
	before, kept, passed := o.size, o.held[:o.passed], -1
	for _, m := range o.held[o.passed:] {
		droppable := m.prepared != nil && m.slow == engine.SlowDropOldest
		if droppable && o.size > heldHigh/2 {
			o.size -= m.cost()
			continue
		}
		if droppable && passed < 0 {
			passed = len(kept)
		}
		kept = append(kept, m)
	}
	if passed < 0 {
		passed = len(kept)
	}
	clear(o.held[len(kept):])
	o.held, o.passed = kept, passed
	c.conn.AddHeld(o.size - before)
}
