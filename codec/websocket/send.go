package websocket

import (
	"bytes"
	"fmt"
	"sync"
	"unsafe"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// mayFill is the size of a frame that fits into what engine.Conn.AvailableBuffer promises.
const mayFill = 16 << 10

// Send sends a message, compressed where that was agreed on (see Compression). data is copied where necessary and belongs to
// the caller again when Send returns. Text should be valid UTF-8: the peer will fail the connection otherwise, and it is
// not checked here.
//
// The Pressure says how the peer keeps up. Whoever sends without being asked should pause while it is engine.OverHighWater,
// until the callback Drained; what is sent all the same is queued, up to engine.Config.MaxOutbound. The error is
// engine.ErrClosed before Open and after Close, or what engine.Conn.Write returns.
func (c *Conn) Send(op Opcode, data []byte) (engine.Pressure, error) {
	if c.flags&(isOpen|closeSent|sending|isClient|anyBits) == isOpen && op-Text <= Binary-Text && len(data) <= mayFill {
		if b := c.conn.Reserve(wsproto.FrameSize(len(data))); b != nil {
			wsproto.AppendFrame(b[:0], op, data)
			return c.conn.Pressure(), nil
		}
	}
	if err := checkOpcode(op); err != nil {
		return c.conn.Pressure(), err
	}
	err := c.send(op, data)
	return c.conn.Pressure(), err
}

// SendText sends s as a text message, as Send does.
func (c *Conn) SendText(s string) (engine.Pressure, error) {
	return c.Send(Text, unsafe.Slice(unsafe.StringData(s), len(s))) // Send does not change what it is given
}

// checkOpcode keeps control frames from being sent as messages.
func checkOpcode(op Opcode) error {
	if op != Text && op != Binary {
		return fmt.Errorf("websocket: opcode %v is not that of a message", op)
	}
	return nil
}

// SendPlain is Send without compression: for what must not tell anything by its length, see Compression, and for what is
// compressed already.
func (c *Conn) SendPlain(op Opcode, data []byte) (engine.Pressure, error) {
	switch c.flags & (isOpen | closeSent | sending) {
	default:
		return engine.Sent, engine.ErrClosed
	case isOpen | sending:
		err := c.hold(op, bytes.Clone(data), true)
		return c.conn.Pressure(), err
	case isOpen:
	}
	err := c.write(wsproto.Header{Fin: true, Opcode: op}, data)
	return c.conn.Pressure(), err
}

func (c *Conn) send(op Opcode, data []byte) error {
	switch {
	case c.flags&(isOpen|closeSent|sending) != isOpen:
		if c.flags&(isOpen|closeSent) != isOpen {
			return engine.ErrClosed
		}
		return c.hold(op, bytes.Clone(data), false)
	case c.sendBits() != 0 && c.compresses(len(data)):
		return c.sendCompressed(op, data)
	}
	return c.write(wsproto.Header{Fin: true, Opcode: op}, data)
}

// write writes a frame, a server's large payload without copying it.
func (c *Conn) write(h wsproto.Header, payload []byte) error {
	h.Length = uint64(len(payload))
	if c.flags&isClient != 0 {
		return c.writeMasked(h, payload)
	}
	b := wsproto.AppendHeader(c.conn.AvailableBuffer(), h)
	if len(payload) <= mayFill {
		_, err := c.conn.Write(append(b, payload...))
		return err
	}
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	_, err := c.conn.Write(payload) // goes out with the header, in one system call
	return err
}

// keys are where masking keys come from: each is for one goroutine at a time.
var keys = sync.Pool{New: func() any { return new(wsproto.Keys) }}

// writeMasked writes a client's frame. The payload is the caller's, so it is a copy that is masked, a piece at a time.
func (c *Conn) writeMasked(h wsproto.Header, payload []byte) error {
	source := keys.Get().(*wsproto.Keys)
	h.Masked, h.Key = true, source.Next()
	keys.Put(source)
	b := wsproto.AppendHeader(c.conn.AvailableBuffer(), h)
	for key := h.Key; ; {
		n := len(b)
		b = append(b, payload[:min(len(payload), mayFill-n)]...)
		payload = payload[len(b)-n:]
		key = wsproto.Mask(b[n:], key)
		if _, err := c.conn.Write(b); err != nil || len(payload) == 0 {
			return err
		}
		b = c.conn.AvailableBuffer()
	}
}
