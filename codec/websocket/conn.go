package websocket

import (
	"fmt"

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
	receiver    wsproto.Receiver
	rare        *rare  // nil: nothing of it
	meter       uint32 // before Open: bytes of the request that were looked at; then: control frames, see countControl
	flags       flags
	subprotocol int8  // index in Subprotocols
	sendBits    uint8 // of the window that we compress with; 0: no compression was agreed on
}

type flags uint16

const (
	isOpen      flags = 1 << iota // the handshake is done
	closeSent                     // our Close frame is out: nothing may follow it
	pinged                        // the idle timeout's ping is unanswered
	isClient                      // this end masks what it sends
	inHandshake                   // the handshake is counted as in progress
	unfinished                    // the input ends within a frame or message
	timed                         // a progressTimer looks at that from time to time
	sameMessage                   // no message has ended since it looked
	sending                       // a message that is sent piece by piece has begun
	toHandler                     // a request that is no opening handshake goes to the Handler
)

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
	c.endHandshake()
	c.receiver = wsproto.NewReceiver(&c.service.receive)
	if agreed != nil {
		c.deflate(*agreed)
	}
	c.flags |= isOpen
	c.meter = uint32(wsproto.NewMeter(c.conn.Now()))
	c.conn.SetTimeout(0)
	c.conn.SetIdleTimeout(c.service.receive.IdleTimeout)
}

// Ping sends a ping with at most 125 bytes of data. The peer's answer arrives at the callback Pong.
func (c *Conn) Ping(data []byte) error {
	if len(data) > wsproto.MaxControl {
		return fmt.Errorf("websocket: ping of %d bytes, over the limit of %d (RFC 6455 section 5.5)", len(data), wsproto.MaxControl)
	}
	return c.control(wsproto.Ping, data)
}

// endHandshake ends the handshake's part in Server.handshakes.
func (c *Conn) endHandshake() {
	if c.flags&inHandshake == 0 {
		return
	}
	c.flags &^= inHandshake
	c.service.server.handshakes.remove(c.makeRare().handshake)
	c.freeRare()
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
