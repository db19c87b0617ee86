package wsconn

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/myriadnet/myriad/wsproto"
)

// Read waits for the next message and returns it whole. Text is valid UTF-8. data may be modified,
// and is valid until the next call of Read, Reader or ReadJSON by any goroutine, so one goroutine
// should read. Each message goes to one of several that call Read or ReadJSON. What is left of a
// message that a Reader was reading is discarded.
//
// If ctx ends first, Read returns the cause, and the connection is still good: no byte is lost, and
// the next Read goes on. Compare with ==: an error that wraps the cause of a context is the end of
// the connection, as any other error, and all later calls return it, too. It is a *CloseError after
// a closing handshake, a *wsproto.ProtocolError if the peer broke a rule or went over a limit,
// ErrPongTimeout if it was silent for too long, io.ErrUnexpectedEOF if it closed the connection
// without a closing handshake, or an error of the network. In the first two cases Read tells the
// peer why and waits for it to close the connection, for at most Config.CloseTimeout.
func (c *Conn) Read(ctx context.Context) (op Opcode, data []byte, err error) {
	if err := c.lockRead(ctx); err != nil {
		return 0, nil, err
	}
	defer c.unlockRead()
	return c.read(ctx)
}

// read is Read for a caller that holds readLock.
func (c *Conn) read(ctx context.Context) (op Opcode, data []byte, err error) {
	if err := c.nextMessage(ctx, false); err != nil {
		return 0, nil, err
	}
	for {
		ev, err := c.next(ctx)
		if err != nil || ev.Kind == wsproto.EventMessage {
			return ev.Opcode, ev.Payload, err
		}
		if data, whole := c.stream.join(ev); whole {
			return ev.Opcode, data, nil
		}
	}
}

// lockRead waits for readLock. A call that has waited must not touch the message of the Read that
// it has waited for: that one is valid until the next call.
func (c *Conn) lockRead(ctx context.Context) error {
	if c.readClosed.Load() {
		return cmp.Or(c.ended(), errReadClosed)
	}
	if c.readLock.tryLock() {
		return nil
	}
	if err := c.readLock.lock(ctx); err != nil {
		return err
	}
	c.leaveBuffers()
	return nil
}

// unlockRead releases readLock, and what only a live connection needs.
func (c *Conn) unlockRead() {
	c.readLock.unlock()
	if c.ended() != nil {
		c.releaseReceiver()
	}
}

// releaseReceiver releases what the receiver owns at the end of the connection, unless somebody
// else will. It leaves the message that Read has returned.
func (c *Conn) releaseReceiver() {
	if c.readLock.tryLock() {
		c.stream = stream{number: c.stream.number, more: true}
		c.receiver.Disown()
		c.receiver.Release()
		c.readLock.unlock()
	}
}

// next waits for the next message, or for the next piece of one. The caller holds readLock.
func (c *Conn) next(ctx context.Context) (wsproto.Event, error) {
	for {
		if err := c.ended(); err != nil {
			return wsproto.Event{}, err
		}
		ev, n, err := c.receiver.Next(c.in)
		c.in = c.in[n:]
		if ev.Kind == wsproto.EventPing || ev.Kind == wsproto.EventPong {
			err = c.meter.Count(c.now(), c.protocol.ControlRate)
		}
		if err != nil {
			return wsproto.Event{}, c.failed(ctx, err)
		}
		if ev.Kind != wsproto.EventNone && !c.receiver.InMessage() {
			c.messageEnded = true
		}
		switch ev.Kind {
		case wsproto.EventMessage, wsproto.EventPiece, wsproto.EventLast:
			if !c.closeSent.Load() {
				return ev, nil
			}
		case wsproto.EventPing:
			c.answer(ctx, ev.Payload)
		case wsproto.EventPong:
			c.ponged(ev.Payload)
		case wsproto.EventClose:
			return wsproto.Event{}, c.closed(ctx, ev)
		default:
			if err := c.fill(ctx); err != nil {
				return wsproto.Event{}, err
			}
		}
	}
}

// fill receives more bytes. What is left in c.in is at most an incomplete header or control frame.
func (c *Conn) fill(ctx context.Context) error {
	if err := c.readInterrupt.follow(ctx); err != nil {
		return err
	}
	b := c.nextBuffer()
	left := copy(b, c.in)
	c.dropLarge(b)
	c.in = b[:left]
	if overdue := c.beginWait(); overdue != nil {
		return c.failed(ctx, overdue)
	}
	n, err := c.nc.Read(b[left:])
	overdue := c.endWait(n)
	c.in, c.full = b[:left+n], left+n == len(b)
	switch {
	case n > 0 || err == nil: // an error comes again
		return nil
	case overdue != nil:
		return c.failed(ctx, overdue)
	case errors.Is(err, os.ErrDeadlineExceeded):
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return c.end(fmt.Errorf("wsconn: connection lost: %w", err))
}

// nextBuffer returns the large buffer in the middle of a message that has filled a buffer, and the
// small one otherwise.
func (c *Conn) nextBuffer() []byte {
	if !c.full || !c.receiver.InMessage() {
		return c.buf
	}
	if c.large == nil {
		c.large = largeBuffers.Get().(*[largeBuffer]byte)
	}
	return c.large[:]
}

// dropLarge gives the large buffer back unless it is the one in use.
func (c *Conn) dropLarge(inUse []byte) {
	if c.large != nil && &inUse[0] != &c.large[0] {
		largeBuffers.Put(c.large)
		c.large = nil
	}
}

// leaveBuffers leaves the message that Read has returned to the caller of Read for good, and what a
// Reader has to give out to that one.
func (c *Conn) leaveBuffers() {
	c.receiver.Disown()
	c.stream.rest = bytes.Clone(c.stream.rest) // it may be the decompressor's
	c.in = bytes.Clone(c.in)
	c.buf, c.large = make([]byte, smallBuffer), nil
}
