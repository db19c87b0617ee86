package websocket

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// mayFill is the size of a frame that fits into what engine.Conn.AvailableBuffer promises.
const mayFill = 16 << 10

// Send sends a message, compressed where that was agreed on: see Compression. It copies data where
// necessary, and data belongs to the caller again when Send returns. Text should be valid UTF-8: it
// is not checked here, and otherwise the peer fails the connection.
//
// The Pressure tells how the peer keeps up. A sender that is not asked for each message should
// pause while it is engine.OverHighWater, until the callback Drained. What it sends all the same is
// queued, up to engine.Config.MaxOutbound. The error is engine.ErrClosed before Open and after
// Close, or what engine.Conn.Write returns.
//
// What the kernel does not take of a message at once is copied, on the loop, while its other
// connections wait. For many megabytes use SendPrepared, whose bytes a server only refers to, or
// SendFrom.
func (c *Conn) Send(op Opcode, data []byte) (engine.Pressure, error) {
	if c.flags&(isOpen|closeSent|sending|isClient|anyBits) == isOpen && op-Text <= Binary-Text && len(data) <= mayFill {
		if b := c.conn.Reserve(wsproto.FrameSize(len(data))); b != nil {
			c.conn.Commit(wsproto.AppendFrame(b, op, data))
			return c.conn.Pressure(), nil
		}
		// the first of a delivery, or for a peer that does not keep up
		_, err := c.conn.Write(wsproto.AppendFrame(c.conn.AvailableBuffer(), op, data))
		return c.conn.Pressure(), err
	}
	err := checkOpcode(op)
	if err == nil {
		err = c.send(op, data, false)
	}
	return c.conn.Pressure(), err
}

// SendText sends s as a text message, as Send does.
func (c *Conn) SendText(s string) (engine.Pressure, error) {
	// Send does not change what it is given.
	return c.Send(Text, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// SendPlain is Send without compression: for what must not tell anything by its length, see
// Compression, and for what is compressed already.
func (c *Conn) SendPlain(op Opcode, data []byte) (engine.Pressure, error) {
	err := checkOpcode(op)
	if err == nil {
		err = c.send(op, data, true)
	}
	return c.conn.Pressure(), err
}

// checkOpcode keeps control frames from being sent as messages.
func checkOpcode(op Opcode) error {
	if op != Text && op != Binary {
		return fmt.Errorf("websocket: opcode %v is not that of a message", op)
	}
	return nil
}

// send sends a message, or keeps a copy until the one that is being sent piece by piece has ended.
// plain is SendPlain's.
func (c *Conn) send(op Opcode, data []byte, plain bool) error {
	switch c.flags & (isOpen | closeSent | sending) {
	default:
		return engine.ErrClosed
	case isOpen | sending:
		return c.hold(held{op: op, data: bytes.Clone(data), plain: plain})
	case isOpen:
	}
	s := c.sender()
	var f wsproto.Frame
	if plain {
		f = s.Plain(op, data, true)
	} else {
		f = s.Frame(op, data, true)
		c.countPacked(len(data))
	}
	err := c.write(&f)
	if err != nil {
		s.Drop() // the peer does not get what later messages would refer to
	}
	return err
}

// write writes a frame, a server's large payload without copying it.
func (c *Conn) write(f *wsproto.Frame) error {
	if f.Header.Masked {
		return c.writeMasked(f)
	}
	defer f.Release()
	b := wsproto.AppendHeader(c.conn.AvailableBuffer(), f.Header)
	if len(f.Payload) <= mayFill {
		_, err := c.conn.Write(append(b, f.Payload...))
		return err
	}
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	_, err := c.conn.WriteRest(f.Payload) // goes out with the header, in one system call
	return err
}

// writeMasked writes a client's frame. The payload is the caller's, so it is a copy that is masked,
// a part at a time.
func (c *Conn) writeMasked(f *wsproto.Frame) error {
	write := c.conn.Write
	for {
		b := c.conn.AvailableBuffer()[:mayFill]
		n := f.Fill(b)
		if n == 0 {
			return nil
		}
		if _, err := write(b[:n]); err != nil {
			return err
		}
		write = c.conn.WriteRest
	}
}

// control sends a control frame. data is copied, whatever becomes of it, so that it may be on the
// caller's stack.
func (c *Conn) control(op Opcode, data []byte) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	b := c.conn.AvailableBuffer()
	if c.flags&isClient != 0 {
		b = c.service.senders[0].Append(b, op, data)
	} else {
		b = wsproto.AppendFrame(b, op, data)
	}
	write := c.conn.Write
	if op == wsproto.Close { // the message before it may be larger than MaxOutbound
		write = c.conn.WriteRest
	}
	_, err := write(b)
	return err
}
