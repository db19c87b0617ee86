package wsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/myriadnet/myriad/wsproto"
)

// Write sends a message, compressed if that was agreed on (see Compression), and returns when the
// kernel has taken it. If several goroutines write, their messages go out one after another. data
// belongs to the caller again when Write returns. Text must be valid UTF-8: Write does not check
// that, but the peer will, and fail the connection.
//
// A peer that takes nothing makes Write wait until ctx ends. If ctx ends before any byte was sent,
// Write returns the cause, and the connection is still good. If ctx ends in the middle of the
// message, the connection is closed. So it is over TLS whenever ctx ends while the peer keeps Write
// waiting. While Close waits for the peer the error is net.ErrClosed. Any other error is why the
// connection has ended, except for a wrong op: behind a closing handshake it is a *CloseError.
func (c *Conn) Write(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, true)
}

// WritePlain is like Write but does not compress. It is for data that is compressed already, and
// for secrets, whose compressed length could tell something about them (see Compression).
func (c *Conn) WritePlain(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, false)
}

func (c *Conn) write(ctx context.Context, op Opcode, data []byte, compress bool) error {
	if err := c.lockMessage(ctx, op); err != nil {
		return err
	}
	defer c.unlockWrite(ctx)
	return c.writeFrame(ctx, frame{op: op, data: data, last: true, plain: !compress})
}

// lockMessage waits for writeLock between two messages.
func (c *Conn) lockMessage(ctx context.Context, op Opcode) error {
	if op != Text && op != Binary {
		return fmt.Errorf("wsconn: a message is text or binary, not %v", op)
	}
	for {
		if err := c.writeLock.lock(ctx); err != nil {
			return err
		}
		open := c.openMessage.Load()
		if open == nil {
			return nil
		}
		c.unlockWrite(ctx)
		select {
		case <-open.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done:
			return c.err
		}
	}
}

// frame is a frame to be sent: a control frame, or a piece of a message.
type frame struct {
	op    Opcode // of the message
	data  []byte
	last  bool // the message ends with it
	plain bool // do not compress
}

// writeFrame sends a frame. The caller holds writeLock. If the connection has not ended after an
// error, nothing was sent. After a Close frame the caller must end it, who knows why.
func (c *Conn) writeFrame(ctx context.Context, f frame) error {
	switch {
	case c.ended() != nil:
		return c.err
	case c.closeSent.Load():
		return errClosed
	}
	if err := c.writeInterrupt.follow(ctx); err != nil {
		return err
	}
	if f.op == wsproto.Close {
		c.closeSent.Store(true)
	}
	before := c.sender
	made := c.make(f)
	begun, err := c.writeBytes(&made)
	made.Release()
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		_, secure := c.nc.(*tls.Conn) // it cannot go on after that
		if err = context.Cause(ctx); !begun && !secure && f.op != wsproto.Close {
			if !f.op.IsControl() {
				c.sender = before
				c.sender.Drop()
			}
			return err
		}
	}
	err = fmt.Errorf("wsconn: %v frame sent in part or not at all: %w", f.op, err)
	if f.op == wsproto.Close {
		return err
	}
	return c.endNow(err)
}

func (c *Conn) make(f frame) wsproto.Frame {
	if f.plain {
		return c.sender.Plain(f.op, f.data, f.last)
	}
	return c.sender.Frame(f.op, f.data, f.last)
}

var errClosed = fmt.Errorf("wsconn: %w", net.ErrClosed)

const (
	writeBufferSize = 16 << 10 // a TLS record
	largestWrite    = 64 << 10 // so that keepalive sees progress
)

// writeBuffers have buffers to put frames together in.
var writeBuffers = sync.Pool{New: func() any { return new([writeBufferSize]byte) }}

// writeBytes writes a frame to the connection below, and reports whether any of it went out. A
// client masks a copy of the payload, a buffer at a time. A server copies only the beginning of a
// payload, so that it goes out with the header.
func (c *Conn) writeBytes(f *wsproto.Frame) (begun bool, err error) {
	p := writeBuffers.Get().(*[writeBufferSize]byte)
	defer writeBuffers.Put(p)
	for b := p[:f.Fill(p[:])]; len(b) > 0; {
		n, err := c.nc.Write(b)
		c.wrote.Add(int64(n))
		if n > 0 && c.pingDue.Load() {
			c.pingMoved()
		}
		if begun = begun || n > 0; err != nil {
			return begun, err
		}
		if f.Header.Masked {
			b = p[:f.Fill(p[:])]
		} else {
			b = f.Payload[:min(len(f.Payload), largestWrite)]
			f.Payload = f.Payload[len(b):]
		}
	}
	return begun, nil
}
