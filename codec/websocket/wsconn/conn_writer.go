package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var errMessageEnded = errors.New("wsconn: write to a message that has ended")

// largestPiece is the largest frame of a message that Writer sends, in bytes before compression.
const largestPiece = 64 << 10

// Writer begins a message of unknown length and returns a writer for it. Close ends the message and
// must be called: until then, other messages wait. Small writes are gathered, and go out in frames
// of 16 KiB or more. The message is compressed as by Write. For the rules of text see Write.
//
// ctx is for Writer and for all writes of this message. If it ends before any byte was sent, the
// connection is still good. Otherwise a message that is not finished cannot be taken back: the
// connection is closed if ctx ends, and should be closed by CloseNow if the caller has no more data
// to finish it. Pings are sent and answered, and Close may be called, between the frames. The
// writer is for one goroutine.
func (c *Conn) Writer(ctx context.Context, op Opcode) (io.WriteCloser, error) {
	if err := c.lockMessage(ctx, op); err != nil {
		return nil, err
	}
	defer c.unlockWrite(ctx)
	if err := c.ended(); err != nil {
		return nil, err
	}
	w := &messageWriter{c: c, ctx: ctx, op: op, ended: make(chan struct{})}
	w.buf = writeBuffers.Get().(*[writeBufferSize]byte)
	c.openMessage.Store(w)
	return w, nil
}

type messageWriter struct {
	c     *Conn
	ctx   context.Context
	op    Opcode
	buf   *[writeBufferSize]byte
	n     int  // bytes in buf
	begun bool // a frame was sent
	err   error
	ended chan struct{} // closed when other messages may follow
}

func (w *messageWriter) Write(p []byte) (n int, err error) {
	for w.err == nil && len(p) > 0 {
		var k int
		switch {
		case w.n == len(w.buf):
			w.flush(w.buf[:], false)
			w.n = 0
		case w.n == 0 && len(p) >= len(w.buf):
			k = min(len(p), largestPiece)
			w.flush(p[:k], false)
		default:
			k = copy(w.buf[w.n:], p)
			w.n += k
		}
		if w.err == nil {
			n += k
			p = p[k:]
		}
	}
	return n, w.err
}

// Close sends the last frame.
func (w *messageWriter) Close() error {
	if w.err == nil {
		w.flush(w.buf[:w.n], true)
	}
	if w.err == errMessageEnded {
		return nil
	}
	return w.err
}

// flush sends a frame.
func (w *messageWriter) flush(data []byte, last bool) {
	err := w.send(frame{op: w.op, data: data, last: last})
	switch {
	case err != nil && w.begun && w.c.ended() == nil && err != errClosed:
		w.err = w.c.endNow(fmt.Errorf("wsconn: message sent in part: %w", err))
	case err != nil:
		w.err = err
	case last:
		w.err = errMessageEnded
	}
	w.begun = true
	if w.err != nil {
		writeBuffers.Put(w.buf)
		w.buf = nil
		w.c.openMessage.Store(nil)
		close(w.ended)
	}
}

func (w *messageWriter) send(f frame) error {
	if err := w.c.writeLock.lock(w.ctx); err != nil {
		return err
	}
	defer w.c.unlockWrite(w.ctx)
	return w.c.writeFrame(w.ctx, f)
}
