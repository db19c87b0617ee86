package websocket

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/meter"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto"
)

// Conn is a WebSocket connection. Its methods may be called on its loop only: in the callbacks of
// its Server or Client, and in functions that Handle.Post and AfterFunc run. Other goroutines use a
// Handle.
//
// It is 112 bytes. Together with the engine's part an idle connection takes less than 256 bytes of
// heap.
type Conn struct {
	// Value is the user's.
	Value any

	conn     *engine.Conn
	service  *service
	receiver wsproto.Receiver
	rare     *rare       // nil: nothing of it
	meter    meter.Meter // of the peer's control frames
	flags    flags
	remote   remote
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
	toHandler                     // a request that is not an opening handshake goes to the Handler
	holding                       // what the Receiver holds is counted
	forwarded                     // by a trusted proxy: the request tells the client

	// The highest four bits are the size of the window that messages are compressed with, as a
	// power of two. 0: no compression was agreed on.
	bitsShift       = 12
	anyBits   flags = 15 << bitsShift
)

// sendBits returns the size of the window that messages are compressed with; 0: they are not.
func (c *Conn) sendBits() uint8 { return uint8(c.flags >> bitsShift) }

func (c *Conn) setSendBits(bits uint8) { c.flags |= flags(bits) << bitsShift }

// Handle returns the name by which any goroutine may reach the connection.
func (c *Conn) Handle() Handle { return Handle{c} }

// EngineConn returns the connection that the WebSocket stands on: for flow control, timers and
// socket options. Writing to it, or replacing its Protocol, breaks the WebSocket.
func (c *Conn) EngineConn() *engine.Conn { return c.conn }

// Loop returns the number of the connection's loop, as engine.Conn.Loop does. It never changes.
func (c *Conn) Loop() int { return c.conn.Loop() }

// Pressure reports how the peer keeps up with what it is sent.
func (c *Conn) Pressure() engine.Pressure { return c.conn.Pressure() }

// AfterFunc calls f on the connection's loop after d, unless the Timer is stopped or the connection
// is closed before. It is up to 20 ms late.
func (c *Conn) AfterFunc(d time.Duration, f func()) *engine.Timer { return c.conn.AfterFunc(d, f) }

// Subprotocol returns what the opening handshake agreed on, or "".
func (c *Conn) Subprotocol() string { return c.service.subprotocol }

// open begins the life of the WebSocket: the handshake is done.
func (c *Conn) open(agreed *wsproto.Deflate) {
	c.endHandshake()
	c.receiver = wsproto.NewReceiver(&c.service.receive, agreed)
	if agreed != nil {
		c.compress(*agreed)
	}
	c.flags |= isOpen
	c.meter = meter.New(c.conn.Now())
	c.conn.SetTimeout(0)
	c.conn.SetIdleTimeout(c.service.receive.IdleTimeout)
}

// Ping sends a ping with at most 125 bytes of data. The peer's answer arrives at the callback Pong.
func (c *Conn) Ping(data []byte) error {
	if err := checkPing(data); err != nil {
		return err
	}
	return c.control(wsproto.Ping, data)
}

func checkPing(data []byte) error {
	if len(data) > wsproto.MaxControl {
		return fmt.Errorf("websocket: ping of %d bytes, over the limit of %d (RFC 6455 section 5.5)",
			len(data), wsproto.MaxControl)
	}
	return nil
}

// endHandshake frees what was kept for the handshake.
func (c *Conn) endHandshake() {
	if c.flags&inHandshake == 0 {
		return
	}
	c.flags &^= inHandshake
	c.uncountTLS()
	s, count := c.service.server, (*quota.Client)(nil)
	if r := c.rare; r != nil {
		s, count = or(r.front, s), r.handshake
	}
	s.handshakes.Release(count)
	c.freeRare()
}
