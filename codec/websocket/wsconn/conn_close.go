package wsconn

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/myriadnet/myriad/wsproto"
)

// Close does the closing handshake: it sends a Close frame, waits for the peer's, for at most
// Config.CloseTimeout, and closes the connection. That time counts from when the peer has
// acknowledged everything (on Linux, by TCP and unix sockets, and over TLS on these); before that,
// from the last bytes that it acknowledged; and Config.MaxLinger limits it in all. Messages that
// still arrive are dropped. NoStatus as the code sends a Close frame without a code. A reason is
// UTF-8 of at most 123 bytes; a longer one is cut.
//
// Close returns nil if the closing handshake is done, whoever began it. Otherwise the connection is
// closed all the same, and the error is why it has ended, or net.ErrClosed if another Close is
// under way. Only after a code that must not be sent is the connection as it was.
func (c *Conn) Close(code CloseCode, reason string) error {
	if code != wsproto.NoStatus && !code.Sendable() {
		return fmt.Errorf("wsconn: close code %d must not be sent (RFC 6455 section 7.4)", code)
	}
	ctx, cancel := c.closing(context.Background())
	defer cancel()
	err := c.writeClose(ctx, code, reason)
	switch err {
	case errClosed:
		return err
	case nil:
		err = c.end(fmt.Errorf("wsconn: closing handshake: %w", c.awaitClose(ctx)))
	default:
		err = c.endNow(fmt.Errorf("wsconn: closing handshake: %w", err))
	}
	if _, ok := err.(*CloseError); ok {
		return nil
	}
	return err
}

// CloseNow closes the connection at once, without a closing handshake and without waiting for
// anything. It does nothing if the connection has ended already, so it can be deferred where Close
// is called on the good path. Other calls in progress return net.ErrClosed.
func (c *Conn) CloseNow() { c.endNow(errClosed) }

func (c *Conn) writeClose(ctx context.Context, code CloseCode, reason string) error {
	if err := c.writeLock.lock(ctx); err != nil {
		return err
	}
	defer c.unlockWrite(ctx)
	var b [wsproto.MaxControl]byte
	payload := wsproto.AppendClose(b[:0], code, reason)
	err := c.writeFrame(ctx, frame{op: wsproto.Close, data: payload})
	if err == nil {
		c.mu.Lock()
		c.sentCode, c.sentReason = code, string(payload[min(2, len(payload)):])
		c.mu.Unlock()
	}
	return err
}

// awaitClose waits until the peer's Close frame has come, to us or to whoever is reading.
func (c *Conn) awaitClose(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case c.readLock <- struct{}{}:
		defer c.unlockRead()
		c.leaveBuffers()
		_, err := c.next(ctx) // never a message, since a Close frame was sent
		return err
	}
}

// closed answers a Close frame with the code that it has (RFC 6455 section 5.5.1). Then a server
// closes the connection, and a client waits for that (section 7.1.1).
func (c *Conn) closed(ctx context.Context, ev wsproto.Event) error {
	e := &CloseError{Code: ev.Code, Reason: string(ev.Payload)}
	ctx, cancel := c.closing(ctx)
	defer cancel()
	err := c.writeClose(ctx, ev.Code, "")
	e.SentFirst = err == errClosed
	c.mu.Lock()
	e.SentCode, e.SentReason = c.sentCode, c.sentReason
	c.mu.Unlock()
	if err != nil && !e.SentFirst { // the answer cannot be sent
		return c.endNow(e)
	}
	if c.protocol.Role == wsproto.Client {
		c.discard(ctx)
	}
	return c.end(e)
}

// failed tells the peer which rule it broke (RFC 6455 section 7.1.7), and ends the connection. It
// discards what still arrives, because closing a socket with unread input would reset the
// connection and could destroy our Close frame.
func (c *Conn) failed(ctx context.Context, err error) error {
	var broken *wsproto.ProtocolError
	if !errors.As(err, &broken) {
		return c.endNow(err)
	}
	ctx, cancel := c.closing(ctx)
	defer cancel()
	switch c.writeClose(ctx, broken.Code, broken.Text) {
	case nil:
		closeWrite(c.nc)
		c.discard(ctx)
	case errClosed: // Close has sent another one
	default:
		return c.endNow(err)
	}
	return c.end(err)
}

// discard receives until the peer has closed the connection.
func (c *Conn) discard(ctx context.Context) {
	if c.readInterrupt.follow(ctx) == nil {
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

// closeWrite tells the peer that nothing more comes, if the connection can do that.
func closeWrite(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// ended returns why the connection has ended, or nil if it has not.
func (c *Conn) ended() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// end closes the connection. The reason of the first call is that of all later calls, and returned.
func (c *Conn) end(reason error) error { return c.endBy(reason, false) }

// endNow is end without TLS's close_notify, which could wait for a peer that takes nothing.
func (c *Conn) endNow(reason error) error { return c.endBy(reason, true) }

func (c *Conn) endBy(reason error, now bool) error {
	c.mu.Lock()
	if c.ended() == nil {
		c.err = reason
		c.config.windows.Add(-c.windowBytes)
		close(c.done)
		for cancel := range c.onEnd {
			(*cancel)(reason)
		}
		c.onEnd = nil
	}
	c.mu.Unlock()
	// A tls.Conn, one of package tlslayer, or what wraps these: its own Close finds no socket then.
	if over, ok := c.nc.(interface{ NetConn() net.Conn }); ok && now {
		over.NetConn().Close()
	}
	c.nc.Close()
	c.keepalive.stop()
	c.readInterrupt.release()
	c.writeInterrupt.release()
	c.releaseReceiver()
	return c.err
}
