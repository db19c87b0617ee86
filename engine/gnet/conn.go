package gnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/myriadnet/myriad/engine"
)

// conn is a stream connection. Methods that gnet does not call concurrency-safe may be called only
// on its loop.
type conn struct {
	input
	descriptor
	c             *engine.Conn
	ctx           any
	local, remote net.Addr
	writeTimer    *engine.Timer   // nil: there is no deadline for writing
	left          int             // the bytes that the last OnTraffic left
	woken         []AsyncCallback // of each Wake for which the next Feed calls OnTraffic
	ended         bool            // OnClose was called
}

// protocol is conn's engine.Protocol, with the methods that only the engine calls.
type protocol conn

// open calls OnOpen for a new connection.
func (r *runner) open(ec *engine.Conn, local, remote net.Addr, ctx any) *conn {
	_, tcp := remote.(*net.TCPAddr)
	c := &conn{c: ec, ctx: ctx, local: local, remote: remote}
	c.descriptor = descriptor{r: r, raw: ec, loop: ec.Loop(), tcp: tcp}
	r.connections.Add(1)
	ec.SetProtocol((*protocol)(c)) // now, so that OnClose is called if OnOpen panics
	out, action := r.handler.OnOpen(c)
	if len(out) > 0 {
		ec.Write(out) // Closed gets what goes wrong
	}
	c.do(action)
	return c
}

// Feed calls OnTraffic.
func (p *protocol) Feed(src []byte) (int, error) {
	c := (*conn)(p)
	c.in = src
	if len(src) > c.left || len(c.woken) == 0 {
		c.traffic()
	} // else nothing has arrived: this Feed is that of Wake
	for len(c.woken) > 0 {
		if !c.ended {
			c.traffic() // if it panics, Closed finds the callback
		}
		callback := c.woken[0]
		c.woken = c.woken[1:]
		c.hideInput(func() { c.call(callback, nil) })
	}
	c.left, c.in = len(c.in), nil
	return len(src) - c.left, nil
}

// traffic calls OnTraffic, and does what that returns.
func (c *conn) traffic() {
	if action := c.r.handler.OnTraffic(c); action != None {
		c.hideInput(func() { c.do(action) })
	}
}

// hideInput calls f, which must not find the input that is OnTraffic's alone.
func (c *conn) hideInput(f func()) {
	in := c.in
	c.in = nil
	f()
	c.in = in
}

// ReadClosed closes the connection, as gnet does when the peer has closed its half.
func (p *protocol) ReadClosed() { p.outside().end(os.NewSyscallError("read", io.EOF)) }

// Expired closes the connection because of a deadline.
func (p *protocol) Expired() { p.outside().end(os.ErrDeadlineExceeded) }

// Shutdown closes the connection with the engine.
func (p *protocol) Shutdown() { p.outside().end(nil) }

// Recovered is called behind a panic.
func (p *protocol) Recovered(*engine.PanicError) { p.outside() }

// outside begins a call that is not Feed. It forgets the input of an OnTraffic that has panicked:
// that is memory that all connections share. A connection that was closing by then gets no
// Recovered.
func (p *protocol) outside() *conn {
	p.in = nil
	return (*conn)(p)
}

// Closed tells the handler, unless it was told when the connection began to close.
func (p *protocol) Closed(err error) {
	c := p.outside()
	defer c.callWoken() // also if OnClose panics
	c.end(closeReason(err))
}

// closeReason returns what OnClose gets. err may be what a callback has panicked with, and have
// methods that panic.
func closeReason(err error) (reason error) {
	reason = err
	defer func() { recover() }()
	switch {
	case errors.Is(err, engine.ErrShutdown):
		reason = nil
	case errors.Is(err, engine.ErrReset) && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		reason = fmt.Errorf("%w: %w", err, os.NewSyscallError("read", syscall.ECONNRESET))
	}
	return reason
}

// callWoken calls the callbacks of Wake, all of them even if one panics.
func (c *conn) callWoken() {
	defer func() {
		if len(c.woken) > 0 {
			c.callWoken()
		}
	}()
	for len(c.woken) > 0 {
		callback := c.woken[0]
		c.woken = c.woken[1:]
		c.call(callback, nil)
	}
}

// end calls OnClose, once, and closes the connection when what was written is sent.
func (c *conn) end(err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.r.connections.Add(-1)
	defer c.c.Close() // also if OnClose panics in a function of Execute
	action := c.r.handler.OnClose(c, err)
	if action == Shutdown {
		c.r.stop()
	}
}

// do does what a callback has returned.
func (c *conn) do(action Action) {
	switch action {
	case Close:
		c.end(nil)
	case Shutdown:
		c.r.stop()
	}
}

// post calls f on the connection's loop, whether it is closed or not. If f panics, the connection
// is closed.
func (c *conn) post(f func()) error {
	return closedError(c.r.engine.Post(c.loop, func() {
		returned := false
		defer func() {
			if !returned {
				c.c.CloseWith(errPanic)
			}
		}()
		(*protocol)(c).outside()
		f()
		returned = true
	}))
}

var errPanic = errors.New("gnet: panic in a callback")

// closedError returns net.ErrClosed, which gnet's users expect, instead of engine.ErrClosed.
func closedError(err error) error {
	if errors.Is(err, engine.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// Wake calls OnTraffic, with the bytes that are left from the last call. Then it calls callback,
// if that is not nil.
func (c *conn) Wake(callback AsyncCallback) error {
	return c.post(func() {
		if !c.ended && c.left > 0 {
			c.c.SetProtocol((*protocol)(c)) // it is fed what is left after this function
			c.woken = append(c.woken, callback)
			return
		}
		defer c.call(callback, nil) // also if OnTraffic panics
		if !c.ended {
			c.do(c.r.handler.OnTraffic(c))
		}
	})
}

// Close closes the connection when the loop is about to wait. OnClose gets nil.
func (c *conn) Close() error { return c.CloseWithCallback(nil) }

// CloseWithCallback is Close, and calls callback after OnClose.
func (c *conn) CloseWithCallback(callback AsyncCallback) error {
	return c.post(func() {
		defer c.call(callback, nil) // also if OnClose panics
		c.end(nil)
	})
}

func (c *conn) call(callback AsyncCallback, err error) {
	if callback != nil {
		callback(c, err)
	}
}

// Context returns what SetContext has set.
func (c *conn) Context() any { return c.ctx }

// SetContext sets what Context returns.
func (c *conn) SetContext(ctx any) { c.ctx = ctx }

// EventLoop returns the connection's loop.
func (c *conn) EventLoop() EventLoop { return eventLoop{c.r, c.loop} }

// LocalAddr returns the address of the listener, or of the dialed connection.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SendTo returns ErrUnsupportedOp: it is for datagrams.
func (c *conn) SendTo([]byte, net.Addr) (int, error) { return 0, gneterrors.ErrUnsupportedOp }
