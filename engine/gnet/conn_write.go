package gnet

import (
	"io"
	"net"
	"os"
	"time"
)

// Write accepts all of b, or nothing. The bytes go out when the callback returns.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.c.Write(b)
	return n, closedError(err)
}

// Writev is one Write of all of bs.
func (c *conn) Writev(bs [][]byte) (int, error) {
	n, err := c.c.Writev(bs...)
	return n, closedError(err)
}

// ReadFrom writes what r has, until io.EOF.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r) // without ReadFrom
}

// Flush does nothing: what was written goes out when the callback returns.
func (c *conn) Flush() error {
	if c.ended {
		return net.ErrClosed
	}
	return nil
}

// OutboundBuffered returns the number of bytes that the kernel has not taken yet.
func (c *conn) OutboundBuffered() int { return c.c.Outbound() }

// AsyncWrite writes b on the connection's loop. Without a callback, b is copied, and the error is
// engine.ErrBusy if too many bytes wait for the loop. With one, b must not be modified until it is
// called.
func (c *conn) AsyncWrite(b []byte, callback AsyncCallback) error {
	if callback == nil {
		return closedError(c.c.Handle().Send(b))
	}
	return c.post(func() {
		_, err := c.Write(b)
		callback(c, err)
	})
}

// AsyncWritev is one AsyncWrite of all of bs, which must not be modified until it is written.
func (c *conn) AsyncWritev(bs [][]byte, callback AsyncCallback) error {
	return c.post(func() {
		_, err := c.Writev(bs)
		c.call(callback, err)
	})
}

// SetDeadline closes the connection at t, with os.ErrDeadlineExceeded. The zero time means never.
// gnet returns an error instead.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(time.Time{}); err != nil { // that of reading closes as well
		return err
	}
	return c.SetReadDeadline(t)
}

// SetReadDeadline is SetDeadline: an event loop is always reading.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.post(func() {
		if t.IsZero() {
			c.c.SetTimeout(0)
		} else {
			c.c.SetTimeout(max(1, time.Until(t)))
		}
	})
}

// SetWriteDeadline closes the connection at t, with os.ErrDeadlineExceeded, if the kernel has not
// taken everything by then that was written before. The zero time means never.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.post(func() {
		if c.writeTimer != nil {
			c.writeTimer.Stop()
			c.writeTimer = nil
		}
		if !t.IsZero() {
			c.writeTimer = c.c.AfterFunc(max(1, time.Until(t)), c.writeExpired)
		}
	})
}

func (c *conn) writeExpired() {
	if c.c.Outbound() > 0 {
		(*protocol)(c).outside().end(os.ErrDeadlineExceeded)
		c.c.Abort()
	}
}
