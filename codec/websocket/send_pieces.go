package websocket

import (
	"errors"

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

// heldPacked is how much of what is held is compressed, about. The rest is sent as it is: there may
// be tens of thousands of messages, which are sent at once, and each takes up to 10 us to compress.
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
}

// held is a message that waits.
type held struct {
	op       Opcode
	data     []byte
	plain    bool
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
// Compression.Threshold. Of those that have waited for its end, all of which are sent at once, only
// the first 64 KiB are compressed.
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
	if c.flags&sending == 0 {
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
	c.countPacked(len(data))
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

// sendHeld sends what waited for the end of a message. Errors mean that the connection is closing;
// Close tells.
func (c *Conn) sendHeld() {
	held := c.rare.outgoing.held
	c.conn.AddHeld(-c.rare.outgoing.size)
	c.flags &^= sending
	if c.rare.outgoing = nil; c.rare.empty() {
		c.freeRare()
	}
	packed := 0
	for _, m := range held {
		packed += m.cost()
		plain := m.plain || packed > heldPacked
		if m.prepared != nil {
			c.sendPrepared(m.prepared, m.slow, plain)
		} else {
			c.send(m.op, m.data, plain)
		}
	}
	c.sendWaiting()
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
