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

// Write sends a message, compressed where that was agreed on (see Compression), and returns when the kernel has it. Messages of
// several goroutines go out one after the other. data belongs to the caller again when Write returns. Text should be valid UTF-8:
// the peer will fail the connection otherwise, and it is not checked here.
//
// When ctx ends before anything was sent, its cause is returned, and the connection is as it was. When it ends in the
// middle of the message, that is the end of the connection, as any other error is, but for a wrong op; so it is over TLS as
// soon as the peer keeps a Write waiting. After Close the error is net.ErrClosed.
func (c *Conn) Write(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, true)
}

// WritePlain is Write without compression: for what must not tell anything by its length, see Compression, and for what is
// compressed already.
func (c *Conn) WritePlain(ctx context.Context, op Opcode, data []byte) error {
	return c.write(ctx, op, data, false)
}

func (c *Conn) write(ctx context.Context, op Opcode, data []byte, compress bool) error {
	if op != Text && op != Binary {
		return fmt.Errorf("wsconn: a message is text or binary, not %v", op)
	}
	if err := c.writing.take(ctx); err != nil {
		return err
	}
	defer c.leave(ctx)
	if compress && c.sendBits != 0 && len(data) >= c.compression.Threshold {
		return c.compressed(ctx, op, data)
	}
	return c.frame(ctx, wsproto.Header{Fin: true, Opcode: op}, data)
}

// scratch is where messages are compressed to.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const keptScratch = 64 << 10

// compressed sends a message compressed, or as it is where that is no longer.
func (c *Conn) compressed(ctx context.Context, op Opcode, data []byte) error {
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
		return c.frame(ctx, wsproto.Header{Fin: true, Opcode: op}, data)
	}
	err = c.frame(ctx, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: op}, out)
	if err == nil && c.window != nil {
		c.window.Add(data)
	}
	return err
}

// frame sends a frame. The caller has the token.
func (c *Conn) frame(ctx context.Context, h wsproto.Header, payload []byte) error {
	switch {
	case c.ended() != nil:
		return c.err
	case c.closeSent.Load():
		return errClosed
	}
	if err := c.writes.on(ctx); err != nil {
		return err
	}
	if h.Opcode == wsproto.Close {
		c.closeSent.Store(true)
	}
	begun, err := c.put(h, payload)
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		_, secure := c.nc.(*tls.Conn) // which cannot go on after that
		if err = context.Cause(ctx); !begun && !secure && h.Opcode != wsproto.Close {
			return err
		}
	}
	return c.end(fmt.Errorf("wsconn: %v frame sent in part or not at all: %w", h.Opcode, err))
}

var errClosed = fmt.Errorf("wsconn: %w", net.ErrClosed)

// pieces are what frames are put together in.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

const pieceSize = 16 << 10 // a TLS record

// keys are where masking keys come from: each is for one goroutine at a time.
var keys = sync.Pool{New: func() any { return new(wsproto.Keys) }}

// put writes a frame, and says whether any of it went out. A client masks a copy of the payload, a piece at a time; of a
// server's only the first piece is copied, to go out with the header.
func (c *Conn) put(h wsproto.Header, payload []byte) (begun bool, err error) {
	p := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(p)
	h.Length = uint64(len(payload))
	if h.Masked = c.limits.Role == wsproto.Client; h.Masked {
		source := keys.Get().(*wsproto.Keys)
		h.Key = source.Next()
		keys.Put(source)
	}
	b, key := wsproto.AppendHeader(p[:0], h), h.Key
	for {
		n := len(b)
		b = append(b, payload[:min(len(payload), pieceSize-n)]...)
		payload = payload[len(b)-n:]
		if h.Masked {
			key = wsproto.Mask(b[n:], key)
		}
		n, err = c.nc.Write(b)
		if begun = begun || n > 0; err != nil || len(payload) == 0 {
			return begun, err
		}
		if !h.Masked {
			_, err = c.nc.Write(payload)
			return true, err
		}
		b = p[:0]
	}
}

// answer answers a ping. If somebody is writing, or the peer takes nothing, only the latest is answered, when it is possible (RFC
// 6455 section 5.5.3).
func (c *Conn) answer(ctx context.Context, payload []byte) {
	c.mu.Lock()
	c.pong = append(c.pong[:0], payload...)
	c.mu.Unlock()
	c.pongDue.Store(true)
	if c.writing.try() {
		c.leave(ctx)
	}
}

// leave gives the token for writing back, and first does what others could not do without it.
func (c *Conn) leave(ctx context.Context) {
	for {
		var err error
		if c.pongDue.Load() {
			err = c.sendPong(ctx)
		}
		c.writing.give()
		if err != nil || !c.pongDue.Load() || !c.writing.try() {
			return
		}
	}
}

func (c *Conn) sendPong(ctx context.Context) error {
	var b [wsproto.MaxControl]byte
	c.mu.Lock()
	payload := append(b[:0], c.pong...)
	c.pongDue.Store(false)
	c.mu.Unlock()
	err := c.frame(ctx, wsproto.Header{Fin: true, Opcode: wsproto.Pong}, payload)
	if err != nil { // if it is only ctx that has ended, the next who writes does it
		c.pongDue.Store(true)
	}
	return err
}
