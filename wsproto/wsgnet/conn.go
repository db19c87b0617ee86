package wsgnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
)

// The reasons that Server.Close gets, besides those of package wsproto and of gnet.
var (
	// ErrOutboundLimit means that a message was sent while more than Server.MaxOutbound bytes were
	// waiting for the peer.
	ErrOutboundLimit = errors.New("wsgnet: outbound queue limit exceeded")
	// ErrPongTimeout means that the peer was silent for IdleTimeout and did not answer a ping.
	ErrPongTimeout = errors.New("wsgnet: no answer to a ping")
	// ErrCloseTimeout means that the peer did not do its part of the closing handshake.
	ErrCloseTimeout = errors.New("wsgnet: no answer to a Close frame")
)

// Conn is a WebSocket. Its methods may be called only on its loop, except Post, SendAsync, NetConn
// and RemoteAddr.
type Conn struct {
	// Value is for the user.
	Value any

	server      *Server
	conn        gnet.Conn
	loop        gnet.EventLoop
	remote      net.Addr // gnet forgets it when it closes the connection
	receiver    wsproto.Receiver
	sender      wsproto.Sender
	subprotocol string
	scanned     uint32 // bytes of the request that were looked at
	windows     int    // bytes of compression
	state       state
	opened      bool // Open was called
	closeSent   bool
	closing     *wsproto.CloseError
	reason      error   // why the connection ends
	out         *[]byte // what waits for the end of traffic; nil outside of it
	pong        []byte  // the payload of a pong that waits until the peer takes something
	pongDue     bool
	deflates    bool          // compression was agreed on
	worked      time.Duration // what serving has taken of the share
	share       time.Duration // how much it may take
	left        int           // bytes that the last read has left
	turns       *turns        // of the loop; nil: it was never open
	queued      bool          // is in turns
	resuming    bool          // what arrives waits for the turn
	resumed     bool          // resume is at it
	turn        bool          // the next read is the turn
	meter       meter
	watch       watch
}

// state is how far a connection is.
type state uint8

const (
	opening   state = iota // waits for the request
	open                   // sends and receives messages
	lingering              // waits for the peer's FIN; what arrives is dropped
	ended                  // OnClose was called
)

// NetConn returns the connection below. Any goroutine may call it.
func (c *Conn) NetConn() gnet.Conn { return c.conn }

// RemoteAddr returns the address of the peer, also after the end of the connection. Any goroutine
// may call it.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Subprotocol returns the subprotocol that was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Post calls f on the connection's loop, unless the connection has ended by then. Any goroutine may
// call it.
func (c *Conn) Post(f func(*Conn)) error {
	return c.loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		if c.state != ended {
			f(c)
		}
		return nil
	}))
}

// Close begins the closing handshake. The connection ends when the peer has answered, or has
// neither done so nor taken anything of what was sent before for CloseTimeout. Nothing can be sent
// after Close, and messages that still arrive are dropped. With code NoStatus the frame has no
// code. The error is that the code may not be sent, or net.ErrClosed after the first Close.
func (c *Conn) Close(code wsproto.CloseCode, reason string) error {
	if code != wsproto.NoStatus && !code.Sendable() {
		return fmt.Errorf("wsgnet: close code %d may not be sent (RFC 6455 section 7.4)", code)
	}
	if c.state != open || c.closeSent {
		return net.ErrClosed
	}
	sent := c.sendClose(code, reason)
	c.closing = &wsproto.CloseError{SentCode: code, SentReason: sent, SentFirst: true}
	if c.out != nil {
		c.flush() // nothing follows
	}
	c.awaitAnswer()
	return nil
}

// sendClose sends a Close frame, unless one was sent, and returns its reason.
func (c *Conn) sendClose(code wsproto.CloseCode, reason string) string {
	if c.closeSent {
		return ""
	}
	var b [wsproto.MaxControl]byte
	payload := wsproto.AppendClose(b[:0], code, reason)
	c.control(wsproto.Close, payload)
	c.closeSent = true
	return string(payload[min(2, len(payload)):])
}

// closeReceived answers a Close frame with its code (RFC 6455 section 5.5.1), unless it is the
// answer to ours, and ends the connection.
func (c *Conn) closeReceived(ev wsproto.Event) {
	c.sendClose(ev.Code, "")
	if c.closing == nil {
		c.closing = &wsproto.CloseError{SentCode: ev.Code}
	}
	c.closing.Code, c.closing.Reason = ev.Code, string(ev.Payload)
	c.end(c.closing)
}

// fail tells the peer which rule it broke (RFC 6455 section 7.1.7), and ends the connection.
func (c *Conn) fail(err error) {
	var p *wsproto.ProtocolError
	if errors.As(err, &p) {
		c.sendClose(p.Code, p.Text)
	}
	c.end(err)
}

// end ends the connection when what was written is sent. gnet would close the socket at once: with
// unread input that resets the connection, which can destroy what was sent last. So the peer is
// told that nothing more comes, and has CloseTimeout to end it.
func (c *Conn) end(reason error) {
	if c.state >= lingering {
		return
	}
	c.reason, c.state = reason, lingering
	c.watch.waiting, c.watch.stuck = 0, 0
	c.watch.setLast()
	if c.out == nil {
		c.linger()
	} // else at the end of traffic
}

// endNow ends the connection without waiting for the peer.
func (c *Conn) endNow(reason error) {
	if c.state < lingering {
		c.reason, c.state = reason, lingering
	}
	c.conn.Close()
}

// closed is called when the socket is about to be closed. During traffic, gnet calls it within a
// write: then a callback may be in progress, whose message must stay where it is. err is nil if the
// engine ends: then the peer is told (RFC 6455 section 7.4.1), if it can take that.
func (c *Conn) closed(err error) {
	if err == nil && c.state == open && c.out == nil {
		c.sendClose(wsproto.GoingAway, "")
	}
	c.state = ended
	c.stopTimer()
	if c.reason == nil {
		c.reason = err
	}
	if c.out == nil {
		c.finish()
	} // else at the end of traffic
}

// finish releases what c holds, and tells the callback.
func (c *Conn) finish() {
	if !c.opened {
		return
	}
	c.server.windows.Add(-int64(c.windows))
	c.server.leaveTurns(c.turns)
	c.receiver.Release()
	c.sender.Drop()
	if f := c.server.Close; f != nil {
		f(c, c.reason)
	}
}
