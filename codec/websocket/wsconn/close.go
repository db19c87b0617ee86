package wsconn

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/myriadnet/myriad/wsproto"
)

// CloseError is the end of a connection whose peer sent a Close frame.
type CloseError struct {
	Code   CloseCode // 1005 if the frame had none
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("wsconn: closed by peer with code %d %q", e.Code, e.Reason)
}

// Close does the closing handshake: it sends a Close frame, waits for the peer's, Config.CloseTimeout at most, and closes the
// connection. Messages that still arrive are dropped. code 1005 sends a frame without a code. A reason is UTF-8 of at most 123
// bytes; a longer one is cut.
//
// nil says that the closing handshake is done, whoever began it. Otherwise the connection is closed all the same, but for a code that
// may not be sent, and the error is why it has ended, or net.ErrClosed if another Close is under way.
func (c *Conn) Close(code CloseCode, reason string) error {
	if code != wsproto.NoStatus && !code.Sendable() {
		return fmt.Errorf("wsconn: close code %d may not be sent (RFC 6455 section 7.4)", code)
	}
	ctx, cancel := c.closing(context.Background())
	defer cancel()
	err := c.sendClose(ctx, code, reason)
	if err == errClosed {
		return err
	}
	if err == nil {
		err = c.awaitClose(ctx)
	}
	err = c.end(fmt.Errorf("wsconn: closing handshake: %w", err))
	if _, ok := err.(*CloseError); ok {
		return nil
	}
	return err
}

// closing is the context of a closing handshake.
func (c *Conn) closing(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, c.config.CloseTimeout, DefaultCloseTimeout)
}

func (c *Conn) sendClose(ctx context.Context, code CloseCode, reason string) error {
	if err := c.writing.take(ctx); err != nil {
		return err
	}
	defer c.leave(ctx)
	var b [wsproto.MaxControl]byte
	return c.frame(ctx, wsproto.Header{Fin: true, Opcode: wsproto.Close}, wsproto.AppendClose(b[:0], code, reason))
}

// awaitClose waits until the peer's Close frame has come, to us or to who is reading.
func (c *Conn) awaitClose(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case c.reading <- struct{}{}:
		defer c.reading.give()
		c.keep()
		_, _, err := c.receive(ctx) // no message: a Close frame was sent
		return err
	}
}

// closed answers a Close frame with the code that it has (RFC 6455 section 5.5.1). Then the server closes the connection; a
// client waits for that (section 7.1.1).
func (c *Conn) closed(ctx context.Context, ev wsproto.Event) error {
	e := &CloseError{Code: ev.Code, Reason: string(ev.Payload)}
	ctx, cancel := c.closing(ctx)
	defer cancel()
	c.sendClose(ctx, ev.Code, "") // an error: it was sent before, or cannot be
	if c.limits.Role == wsproto.Client {
		c.discard(ctx)
	}
	return c.end(e)
}

// failed tells the peer which rule it broke (RFC 6455 section 7.1.7). What still comes is discarded, because closing a socket
// with unread input would reset it, and destroy our Close frame on its way.
func (c *Conn) failed(ctx context.Context, err error) error {
	ctx, cancel := c.closing(ctx)
	defer cancel()
	var broken *wsproto.ProtocolError
	if errors.As(err, &broken) && c.sendClose(ctx, broken.Code, broken.Text) == nil {
		closeWrite(c.nc)
		c.discard(ctx)
	}
	return c.end(err)
}

// discard receives until the peer has hung up.
func (c *Conn) discard(ctx context.Context) {
	if c.reads.on(ctx) == nil {
		discard(c.nc, c.buf)
	}
}

func discard(nc net.Conn, buf []byte) {
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}

// closeWrite tells the peer that nothing more comes, where that can be told.
func closeWrite(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// ended is why the connection has ended, nil if it has not.
func (c *Conn) ended() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// end closes the connection. The first reason is everybody's from then on, and returned.
func (c *Conn) end(reason error) error {
	c.mu.Lock()
	if c.ended() == nil {
		c.err = reason
		c.config.windows.Add(-c.windowBytes)
		close(c.done)
	}
	c.mu.Unlock()
	c.nc.Close()
	c.reads.off()
	c.writes.off()
	return c.err
}
