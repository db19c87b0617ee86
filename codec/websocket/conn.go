package websocket

import (
	"fmt"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Conn is a WebSocket connection. Its methods may be called on its loop only: in the callbacks of its Server or Client and in
// functions that Handle.Post runs. For other goroutines there is Handle.
//
// It is 96 bytes; together with the engine's part an idle connection takes less than 256 bytes of heap.
type Conn struct {
	// Value is the user's.
	Value any

	conn        *engine.Conn
	service     *service
	session     wsproto.Receiver
	rare        *rare  // nil: nothing of it
	meter       uint32 // before Open: bytes of the request that were looked at; then: control frames, see counted
	flags       flags
	subprotocol int8  // index in Subprotocols
	sendBits    uint8 // of the window that we compress with; 0: no compression was agreed on
}

// rare is what most connections never have.
type rare struct {
	window  *wsproto.Window // of what was sent compressed, with context takeover
	closed  *CloseError     // a client's that waits for the server to close the connection
	from    *caller         // a server's during the handshake, see lobby
	taken   *taken          // a server's during the handshake, see Upgrade
	pong    []byte          // the answer to the latest ping, for when the peer takes something
	pongDue bool

	outgoing *outgoing // a message that is being sent piece by piece
}

// rares are used again, since each handshake has one: what a storm of them would leave to the garbage collector stays resident.
var rares = sync.Pool{New: func() any { return new(rare) }}

// rarely is c.rare, made if there is none.
func (c *Conn) rarely() *rare {
	if c.rare == nil {
		c.rare = rares.Get().(*rare)
	}
	return c.rare
}

// noRare gives it back.
func (c *Conn) noRare() {
	if r := c.rare; r != nil {
		c.rare = nil
		*r = rare{}
		rares.Put(r)
	}
}

// empty says whether there is nothing in it.
func (r *rare) empty() bool {
	return r.window == nil && r.closed == nil && r.from == nil && r.taken == nil && !r.pongDue && r.outgoing == nil
}

type flags uint16

const (
	isOpen    flags = 1 << iota // the handshake is done
	closeSent                   // our Close frame is out: nothing may follow it
	pinged                      // the idle timeout's ping is unanswered
	isClient                    // this end masks what it sends
	inLobby                     // the handshake is counted as in progress
	midway                      // the input ends within a frame or message
	watched                     // a progress looks at that from time to time
	stale                       // no message has ended since it looked
	sending                     // a message that is sent piece by piece has begun
	toHandler                   // a request that is no opening handshake goes to the Handler
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
func (c *Conn) EngineConn() *engine.Conn { return c.conn }

// Subprotocol is what the opening handshake agreed on, "" for none.
func (c *Conn) Subprotocol() string {
	if c.subprotocol < 0 {
		return ""
	}
	return c.service.subprotocols[c.subprotocol]
}

// open begins the life of the WebSocket: the handshake is done.
func (c *Conn) open(agreed *wsproto.Deflate) {
	c.leave()
	c.session = wsproto.NewReceiver(&c.service.session, agreed)
	if agreed != nil {
		c.deflate(*agreed)
	}
	c.flags |= isOpen
	c.meter = uint32(wsproto.NewMeter(c.conn.Now()))
	c.conn.SetTimeout(0)
	c.conn.SetIdleTimeout(c.service.idleTimeout)
}

// Ping sends a ping with at most 125 bytes of data. The peer's answer arrives at the callback Pong.
func (c *Conn) Ping(data []byte) error {
	if len(data) > wsproto.MaxControl {
		return fmt.Errorf("websocket: ping of %d bytes, over the limit of %d (RFC 6455 section 5.5)", len(data), wsproto.MaxControl)
	}
	return c.control(wsproto.Ping, data)
}

// leave ends the handshake's part in the lobby.
func (c *Conn) leave() {
	if c.flags&inLobby == 0 {
		return
	}
	c.flags &^= inLobby
	c.service.server.lobby.leave(c.rarely().from)
	c.noRare()
}

// control sends a control frame. data is copied, whatever becomes of it, so that it may be on the caller's stack.
func (c *Conn) control(op Opcode, data []byte) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	if c.flags&isClient != 0 {
		return c.writeMasked(wsproto.Header{Fin: true, Opcode: op, Length: uint64(len(data))}, data)
	}
	_, err := c.conn.Write(wsproto.AppendFrame(c.conn.AvailableBuffer(), op, data))
	return err
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
	c.conn.SetTimeout(c.service.closeTimeout)
	return nil
}

func (c *Conn) sendClose(code CloseCode, reason string) error {
	if c.flags&closeSent != 0 {
		return nil
	}
	var b [wsproto.MaxControl]byte
	err := c.control(wsproto.Close, wsproto.AppendClose(b[:0], code, reason))
	c.flags |= closeSent
	return err
}

// Closed implements engine.Protocol.
func (c *Conn) Closed(err error) {
	opened := c.flags&isOpen != 0
	c.leave()
	c.flags = closeSent
	if c.sendBits != 0 {
		c.service.windows.Add(-int64(c.windowBytes()))
	}
	var unsent *source
	if r := c.rare; r != nil {
		if r.closed != nil {
			err = r.closed
		}
		if r.outgoing != nil {
			unsent = r.outgoing.source
		}
	}
	c.noRare()
	c.session.Release()
	if unsent != nil {
		unsent.end(engine.ErrClosed)
	}
	if f := c.service.close; opened && f != nil {
		f(c, err)
	}
}

// Drained implements engine.Drainer.
func (c *Conn) Drained() {
	if r := c.rare; r != nil && r.outgoing != nil && r.outgoing.source != nil {
		r.outgoing.source.drained()
	}
	if f := c.service.drained; f != nil && c.flags&isOpen != 0 {
		f(c)
	}
}

// Expired implements engine.Expirer: a handshake that took too long is told so.
func (c *Conn) Expired() {
	if c.flags&isOpen == 0 {
		c.refuse(errTimeout)
	}
}

// Idle implements engine.Idler: a silent peer is pinged once.
func (c *Conn) Idle() bool {
	if c.flags&pinged != 0 {
		return false
	}
	c.flags |= pinged
	if w := c.window(); w != nil {
		w.Drop() // the next message does not refer to those before: that is always allowed
	}
	if c.service.pongTimeout != c.service.idleTimeout {
		c.conn.SetIdleTimeout(c.service.pongTimeout)
	}
	return c.control(wsproto.Ping, nil) == nil
}

// goingAwayTimeout is how long peers have for their part of the closing handshake when the engine shuts down. Together with
// engine.Config.Linger it must stay below Config.ShutdownTimeout, or peers that are deaf would have to be cut.
const goingAwayTimeout = time.Second

// Shutdown implements engine.Shutdowner.
func (c *Conn) Shutdown() {
	if c.Close(wsproto.GoingAway, "") == nil && c.flags&isOpen != 0 {
		if d := c.service.closeTimeout; d <= 0 || d > goingAwayTimeout {
			c.conn.SetTimeout(goingAwayTimeout)
		}
	}
}
