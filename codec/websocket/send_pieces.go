package websocket

import (
	"errors"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// ErrSending: another message is being sent piece by piece, and has not ended.
var ErrSending = errors.New("websocket: another message is being sent piece by piece")

// maxHeld is how many bytes of other messages may wait for the end of one that is sent piece by piece.
const maxHeld = 16 << 20

// outgoing is a message that is being sent piece by piece.
type outgoing struct {
	source *source         // SendFrom's; nil: SendPiece's
	begun  bool            // the first frame is out
	window *wsproto.Window // what the next piece may refer to; nil: it is not compressed
	held   []held          // messages that wait for its end
	size   int             // bytes in them
}

type held struct {
	op    Opcode
	data  []byte
	plain bool
}

// SendPiece sends a piece of a message, as one frame. The first one begins the message with op, which has no meaning for the
// others; last ends it. Other messages that are sent meanwhile go out behind it. See Send for data, the Pressure and the error;
// it is ErrSending while SendFrom sends.
//
// The message is compressed, where that was agreed on, if the first piece is above Compression.Threshold.
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
		if last {
			return c.send(op, data)
		}
		c.begin(new(outgoing))
	}
	h, o := wsproto.Header{Fin: last}, c.rare.outgoing
	if !o.begun {
		o.begun = true
		h.Opcode = op
		if c.sendBits() != 0 && c.compresses(len(data)) {
			h.RSV = wsproto.RSV1
			if o.window = c.rare.window; o.window == nil {
				o.window = wsproto.NewWindow(c.sendBits())
			}
		}
	}
	err := c.writePiece(h, data, o.window)
	if last {
		c.flags &^= sending
		if c.rare.outgoing = nil; c.rare.empty() {
			c.freeRare()
		}
		for _, m := range o.held {
			if m.plain {
				c.SendPlain(m.op, m.data) // an error means closing; Close tells
			} else {
				c.send(m.op, m.data)
			}
		}
		c.sendWaiting()
	}
	return err
}

// begin begins a message.
func (c *Conn) begin(o *outgoing) {
	c.flags |= sending
	c.makeRare().outgoing = o
}

// writePiece writes a frame. A compressed piece ends where a decompressor can give out all of it.
func (c *Conn) writePiece(h wsproto.Header, data []byte, window *wsproto.Window) error {
	if window == nil {
		return c.write(h, data)
	}
	p := scratch.Get().(*[]byte)
	defer putScratch(p)
	out, err := deflate.Append((*p)[:0], data, window.Bytes(), c.service.compression.Level, c.sendBits())
	if err != nil {
		return err
	}
	if !h.Fin {
		out = append(out, deflate.Tail...)
	}
	*p = out
	window.Add(data)
	return c.write(h, out)
}

// hold keeps a message until the one that is being sent has ended; data may be kept. plain is SendPlain's.
func (c *Conn) hold(op Opcode, data []byte, plain bool) error {
	o := c.rare.outgoing
	if o.size += len(data); o.size > maxHeld {
		c.conn.CloseWith(engine.ErrOutboundLimit)
		return engine.ErrOutboundLimit
	}
	o.held = append(o.held, held{op, data, plain})
	return nil
}
