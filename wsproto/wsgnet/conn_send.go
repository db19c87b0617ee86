package wsgnet

import (
	"bytes"
	"net"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// Send sends a message, compressed if that was agreed on. data belongs to the caller again when
// Send returns. Text must be valid UTF-8: Send does not check that. The error is net.ErrClosed
// after Close, or ErrOutboundLimit, which also ends the connection.
func (c *Conn) Send(op wsproto.Opcode, data []byte) error {
	if err := c.maySend(); err != nil {
		return err
	}
	if c.packs(len(data)) {
		defer c.packed(time.Now())
	}
	if len(data) >= minThrough {
		return c.sendThrough(op, data)
	}
	return c.append(func(dst []byte) []byte { return c.sender.Append(dst, op, data) })
}

// minThrough is the size of a message that is not copied to what was gathered: a system call more
// costs less then.
const minThrough = 16 << 10

// sendThrough writes a large message, behind what was gathered.
func (c *Conn) sendThrough(op wsproto.Opcode, data []byte) error {
	if c.out != nil {
		if c.flush(); c.state == ended {
			return net.ErrClosed
		}
	}
	f := c.sender.Frame(op, data, true)
	defer f.Release()
	var header [wsproto.MaxHeader]byte
	_, err := c.conn.Writev([][]byte{wsproto.AppendHeader(header[:0], f.Header), f.Payload})
	return err
}

// SendAsync is Send for any goroutine. It copies data. A nil error means that the message was
// queued for the loop.
func (c *Conn) SendAsync(op wsproto.Opcode, data []byte) error {
	data = bytes.Clone(data)
	return c.Post(func(c *Conn) { c.Send(op, data) })
}

// SendPrepared is Send for a message that is encoded once for all its receivers.
func (c *Conn) SendPrepared(p *wsproto.Prepared) error {
	if err := c.maySend(); err != nil {
		return err
	}
	if _, data := p.Message(); c.packs(len(data)) {
		defer c.packed(time.Now())
	}
	frame := c.sender.Prepared(p, false)
	if c.out == nil {
		_, err := c.conn.Write(frame) // which copies what the kernel does not take
		return err
	}
	*c.out = append(*c.out, frame...)
	return nil
}

// Ping sends a ping, whose payload has at most 125 bytes.
func (c *Conn) Ping(data []byte) error {
	if err := c.maySend(); err != nil {
		return err
	}
	return c.control(wsproto.Ping, data[:min(len(data), wsproto.MaxControl)])
}

func (c *Conn) maySend() error {
	if c.state != open || c.closeSent {
		return net.ErrClosed
	}
	waiting := c.conn.OutboundBuffered()
	if c.out != nil {
		waiting += len(*c.out)
	}
	if waiting > c.server.MaxOutbound {
		c.endNow(ErrOutboundLimit)
		return ErrOutboundLimit
	}
	return nil
}

func (c *Conn) control(op wsproto.Opcode, payload []byte) error {
	return c.append(func(dst []byte) []byte { return wsproto.AppendFrame(dst, op, payload) })
}

// append gathers what f appends, or writes it outside of traffic.
func (c *Conn) append(f func(dst []byte) []byte) error {
	if c.out != nil {
		*c.out = f(*c.out)
		return nil
	}
	b := outs.Get().(*[]byte)
	defer free(b)
	*b = f(*b)
	_, err := c.conn.Write(*b)
	return err
}
