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

// heldCost is what a held message costs besides its bytes, so that empty ones are not free.
const heldCost = 64

// outgoing is a message that is being sent piece by piece.
type outgoing struct {
	source *source        // SendFrom's; nil: SendPiece's
	sender wsproto.Sender // of this message, where the connection has none of its own
	held   []held         // messages that wait for its end
	size   int            // bytes in them
}

type held struct {
	op    Opcode
	data  []byte
	plain bool
}

// SendPiece sends a piece of a message, as one frame. The first one begins the message with op,
// which has no meaning for the others; last ends it. Other messages that are sent meanwhile go out
// behind it; Close does not wait for its end, and drops them: then the reason is an
// *engine.UnsentError. See Send for data, the Pressure and the error; it is ErrSending while
// SendFrom sends.
//
// The message is compressed, where that was agreed on, if the first piece is not below
// Compression.Threshold.
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
	c.flags &^= sending
	if c.rare.outgoing = nil; c.rare.empty() {
		c.freeRare()
	}
	for _, m := range held {
		c.send(m.op, m.data, m.plain)
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

// hold keeps a message until the one that is being sent has ended. data may be kept.
func (c *Conn) hold(op Opcode, data []byte, plain bool) error {
	o := c.rare.outgoing
	if o.size += len(data) + heldCost; o.size > maxHeld {
		c.conn.CloseWith(engine.ErrOutboundLimit)
		return engine.ErrOutboundLimit
	}
	o.held = append(o.held, held{op, data, plain})
	return nil
}
