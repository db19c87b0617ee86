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
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Write sends a message, compressed if that was agreed on (see Compression), and returns when the
// kernel has taken it. If several goroutines write, their messages go out one after another. data
// belongs to the caller again when Write returns. Text must be valid UTF-8: Write does not check
// that, but the peer will, and fail the connection.
//
// If ctx ends before any byte was sent, Write returns the cause, and the connection is still good.
// If ctx ends in the middle of the message, the connection is closed. So it is over TLS whenever
// ctx ends while the peer keeps Write waiting. After Close the error is net.ErrClosed. Any other
// error is the end of the connection, except for a wrong op.
func (c *Conn) Write(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, true)
}

// WritePlain is like Write but does not compress. It is for data that is compressed already, and
// for secrets, whose compressed length could tell something about them (see Compression).
func (c *Conn) WritePlain(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, false)
}

func (c *Conn) write(ctx context.Context, op Opcode, data []byte, compress bool) error {
	if op != Text && op != Binary {
		return fmt.Errorf("wsconn: a message is text or binary, not %v", op)
	}
	if err := c.writeLock.lock(ctx); err != nil {
		return err
	}
	defer c.unlockWrite(ctx)
	if compress && c.sendBits != 0 && len(data) >= c.compression.Threshold {
		return c.writeCompressed(ctx, op, data)
	}
	return c.writeFrame(ctx, wsproto.Header{Fin: true, Opcode: op}, data)
}

// scratch has buffers to compress into.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const keptScratch = 64 << 10

// writeCompressed sends a message compressed, or as it is if that is not longer.
func (c *Conn) writeCompressed(ctx context.Context, op Opcode, data []byte) error {
	p := scratch.Get().(*[]byte)
	defer func() {
		if cap(*p) <= keptScratch {
			scratch.Put(p)
		}
	}()
	var before []byte
	if c.window != nil {
		before = c.window.Bytes()
	}
	out, err := deflate.Append((*p)[:0], data, before, c.compression.Level, c.sendBits)
	*p = out[:0]
	if err != nil || len(out) >= len(data) { // what was not sent compressed is in nobody's window
		return c.writeFrame(ctx, wsproto.Header{Fin: true, Opcode: op}, data)
	}
	err = c.writeFrame(ctx, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: op}, out)
	if err == nil && c.window != nil {
		c.window.Add(data)
	}
	return err
}

// writeFrame sends a frame. The caller holds writeLock.
func (c *Conn) writeFrame(ctx context.Context, h wsproto.Header, payload []byte) error {
	switch {
	case c.ended() != nil:
		return c.err
	case c.closeSent.Load():
		return errClosed
	}
	if err := c.writeInterrupt.follow(ctx); err != nil {
		return err
	}
	if h.Opcode == wsproto.Close {
		c.closeSent.Store(true)
	}
	begun, err := c.writeTo(h, payload)
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		_, secure := c.nc.(*tls.Conn) // it cannot go on after that
		if err = context.Cause(ctx); !begun && !secure && h.Opcode != wsproto.Close {
			return err
		}
	}
	return c.end(fmt.Errorf("wsconn: %v frame sent in part or not at all: %w", h.Opcode, err))
}

var errClosed = fmt.Errorf("wsconn: %w", net.ErrClosed)

const (
	writeBufferSize = 16 << 10 // a TLS record
	largestWrite    = 64 << 10 // so that keepalive sees progress
)

// writeBuffers have buffers to put frames together in.
var writeBuffers = sync.Pool{New: func() any { return new([writeBufferSize]byte) }}

// maskingKeys has sources of masking keys. Each is for one goroutine at a time.
var maskingKeys = sync.Pool{New: func() any { return new(wsproto.Keys) }}

// writeTo writes a frame to the connection below, and reports whether any of it went out. A client
// masks a copy of the payload, a buffer at a time. A server copies only the beginning of a payload,
// so that it goes out with the header.
func (c *Conn) writeTo(h wsproto.Header, payload []byte) (begun bool, err error) {
	p := writeBuffers.Get().(*[writeBufferSize]byte)
	defer writeBuffers.Put(p)
	h.Length = uint64(len(payload))
	if h.Masked = c.protocol.Role == wsproto.Client; h.Masked {
		source := maskingKeys.Get().(*wsproto.Keys)
		h.Key = source.Next()
		maskingKeys.Put(source)
	}
	b, key := wsproto.AppendHeader(p[:0], h), h.Key
	for {
		n := len(b)
		b = append(b, payload[:min(len(payload), writeBufferSize-n)]...)
		payload = payload[len(b)-n:]
		if h.Masked {
			key = wsproto.Mask(b[n:], key)
		}
		n, err = c.writeBytes(b)
		begun = begun || n > 0
		for err == nil && len(payload) > 0 && !h.Masked {
			n, err = c.writeBytes(payload[:min(len(payload), largestWrite)])
			payload = payload[n:]
		}
		if err != nil || len(payload) == 0 {
			return begun, err
		}
		b = p[:0]
	}
}

func (c *Conn) writeBytes(b []byte) (int, error) {
	n, err := c.nc.Write(b)
	if n > 0 && c.pingDue.Load() {
		c.pingMoved()
	}
	return n, err
}
