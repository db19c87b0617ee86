package websocket

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Conn is a WebSocket connection. Its methods may be called on its loop only: in the Server's callbacks and in functions
// that Handle.Post runs. For other goroutines there is Handle.
//
// It is 96 bytes; together with the engine's part an idle connection takes less than 256 bytes of heap.
type Conn struct {
	// Value is the user's.
	Value any

	conn        *engine.Conn
	server      *Server
	session     wsproto.Session
	window      *wsproto.Window // of what was sent compressed; nil without context takeover
	scanned     uint32          // bytes of the request that were looked at
	subprotocol int8            // index in Server.Subprotocols
	flags       flags
	sendBits    uint8 // of the window that we compress with; 0: no compression was agreed on
}

type flags uint8

const (
	isOpen    flags = 1 << iota // the handshake is done
	closeSent                   // our Close frame is out: nothing may follow it
	pinged                      // the idle timeout's ping is unanswered
)

// CloseError is the reason of a connection whose peer sent a Close frame.
type CloseError struct {
	Code   CloseCode // 1005 if the frame had none
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: closed by peer with code %d %q", e.Code, e.Reason)
}

// Cause implements what engine.Cause asks of a reason: a closing handshake is no broken rule.
func (e *CloseError) Cause() engine.Cause { return engine.CausePeer }

// Handle returns the name by which any goroutine may reach the connection.
func (c *Conn) Handle() Handle { return Handle{c} }

// Engine is the connection that the WebSocket stands on: for addresses, flow control, timers and socket options. Writing
// to it, or replacing its Protocol, breaks the WebSocket.
func (c *Conn) Engine() *engine.Conn { return c.conn }

// Subprotocol is what the opening handshake agreed on, "" for none.
func (c *Conn) Subprotocol() string {
	if c.subprotocol < 0 {
		return ""
	}
	return c.server.Subprotocols[c.subprotocol]
}

// mayFill is the size of a frame that fits into what engine.Conn.AvailableBuffer promises.
const mayFill = 16 << 10

// Send sends a message, compressed where that was agreed on (Server.Compression). data is copied where necessary and belongs
// to the caller again when Send returns. Text should be valid UTF-8: the peer will fail the connection otherwise, and it is
// not checked here. The error is engine.ErrClosed before Open and after Close, or what engine.Conn.Write returns.
func (c *Conn) Send(op Opcode, data []byte) error { return c.send(op, data) }

// SendPlain is Send without compression: for what must not tell anything by its length, see Compression, and for what is
// compressed already.
func (c *Conn) SendPlain(op Opcode, data []byte) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	return c.write(wsproto.Header{Fin: true, Opcode: op, Length: uint64(len(data))}, data)
}

func (c *Conn) send(op Opcode, data []byte) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	if c.sendBits != 0 && c.compresses(op, len(data)) {
		return c.sendCompressed(op, data)
	}
	if len(data) > mayFill {
		return c.SendPlain(op, data)
	}
	_, err := c.conn.Write(wsproto.AppendFrame(c.conn.AvailableBuffer(), op, data))
	return err
}

// write writes a frame, a large payload without copying it.
func (c *Conn) write(h wsproto.Header, payload []byte) error {
	b := wsproto.AppendHeader(c.conn.AvailableBuffer(), h)
	if len(payload) <= mayFill {
		_, err := c.conn.Write(append(b, payload...))
		return err
	}
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	_, err := c.conn.Write(payload) // goes out with the header, in one system call
	return err
}

// SendPrepared sends a message that was encoded before, without copying it. slow says what becomes of it if the peer does
// not keep up; that it was dropped is no error.
func (c *Conn) SendPrepared(p *Prepared, slow engine.SlowPolicy) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	drops := slow == engine.SlowDropNewest || slow == engine.SlowDropOldest
	// With context takeover a compressed message must not get lost: later ones would refer to what the peer never saw.
	if c.sendBits == 0 || !c.compresses(p.op, len(p.data)) || c.window != nil && drops {
		return c.conn.WriteShared(p.plain, slow)
	}
	frame := p.compressed(c.server.Compression.level(), c.sendBits)
	if frame == nil {
		return c.conn.WriteShared(p.plain, slow)
	}
	if err := c.conn.WriteShared(frame, slow); err != nil {
		return err
	}
	if c.window != nil {
		c.window.Add(p.data)
	}
	return nil
}

// Ping sends a ping with at most 125 bytes of data. The peer's answer arrives at Server.Pong.
func (c *Conn) Ping(data []byte) error {
	if len(data) > wsproto.MaxControl {
		return fmt.Errorf("websocket: ping of %d bytes, over the limit of %d (RFC 6455 section 5.5)", len(data), wsproto.MaxControl)
	}
	return c.send(wsproto.Ping, data)
}

// Close begins the closing handshake: it sends a Close frame, after which nothing can be sent and messages that still
// arrive are dropped, and waits for the peer's, Server.CloseTimeout at most. Before Open it just closes the connection.
// code 1005 sends a frame without a code. A reason is UTF-8 of at most 123 bytes; a longer one is cut. A second Close does nothing.
func (c *Conn) Close(code CloseCode, reason string) error {
	if c.flags&isOpen == 0 {
		c.conn.Close()
		return nil
	}
	if c.flags&closeSent != 0 {
		return engine.ErrClosed
	}
	if code != wsproto.NoStatus && !code.Sendable() {
		return fmt.Errorf("websocket: close code %d may not be sent (RFC 6455 section 7.4)", code)
	}
	if err := c.sendClose(code, reason); err != nil {
		return err
	}
	c.conn.SetDeadline(or(c.server.CloseTimeout, DefaultCloseTimeout))
	return nil
}

func (c *Conn) sendClose(code CloseCode, reason string) error {
	if c.flags&closeSent != 0 {
		return nil
	}
	var b [wsproto.MaxControl]byte
	err := c.send(wsproto.Close, wsproto.AppendClose(b[:0], code, reason))
	c.flags |= closeSent
	return err
}

// Feed implements engine.Protocol.
func (c *Conn) Feed(src []byte) (int, error) {
	if c.flags&isOpen != 0 {
		return c.frames(src)
	}
	n, err := c.handshake(src)
	if err != nil || c.flags&isOpen == 0 {
		return n, err
	}
	m, err := c.frames(src[n:])
	return n + m, err
}

// frames delivers what src holds. It stops where a callback has paused reading.
func (c *Conn) frames(src []byte) (n int, err error) {
	c.flags &^= pinged
	for {
		ev, k, err := c.session.Next(src[n:])
		n += k
		if err != nil {
			return len(src), c.fail(err)
		}
		switch ev.Kind {
		case wsproto.EventNone:
			return n, nil
		case wsproto.EventMessage:
			if f := c.server.Message; f != nil && c.flags&closeSent == 0 {
				f(c, ev.Opcode, ev.Payload)
			}
		case wsproto.EventPing:
			c.send(wsproto.Pong, ev.Payload)
			if f := c.server.Ping; f != nil {
				f(c, ev.Payload)
			}
		case wsproto.EventPong:
			if f := c.server.Pong; f != nil {
				f(c, ev.Payload)
			}
		case wsproto.EventClose:
			// RFC 6455 section 5.5.1: the answer has the code that it answers; then the server closes the connection.
			e := &CloseError{Code: ev.Code, Reason: string(ev.Payload)}
			c.sendClose(ev.Code, "")
			return len(src), e
		}
		if c.conn.Yield() {
			return n, nil
		}
	}
}

// fail tells the peer which rule it broke (RFC 6455 section 7.1.7).
func (c *Conn) fail(err error) error {
	if p, ok := err.(*wsproto.ProtocolError); ok {
		c.sendClose(p.Code, p.Text)
	}
	return err
}

// Closed implements engine.Protocol.
func (c *Conn) Closed(err error) {
	opened := c.flags&isOpen != 0
	c.flags = closeSent
	if c.sendBits != 0 {
		c.server.windows.Add(-int64(c.windowBytes()))
		c.window = nil
	}
	c.session.Release()
	if f := c.server.Close; opened && f != nil {
		f(c, err)
	}
}

// Idle implements engine.Idler: a silent peer is pinged once.
func (c *Conn) Idle() bool {
	if c.flags&pinged != 0 {
		return false
	}
	c.flags |= pinged
	if c.window != nil {
		c.window.Drop() // the next message does not refer to those before: that is always allowed
	}
	return c.send(wsproto.Ping, nil) == nil
}

// goingAwayTimeout is how long peers have for their part of the closing handshake when the engine shuts down. Together with
// engine.Config.Linger it must stay below Config.ShutdownTimeout, or peers that are deaf would have to be cut.
const goingAwayTimeout = time.Second

// Shutdown implements engine.Shutdowner.
func (c *Conn) Shutdown() {
	if c.Close(wsproto.GoingAway, "") == nil && c.flags&isOpen != 0 {
		if d := c.server.CloseTimeout; d <= 0 || d > goingAwayTimeout {
			c.conn.SetDeadline(goingAwayTimeout)
		}
	}
}
