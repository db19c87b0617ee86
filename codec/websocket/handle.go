package websocket

import (
	"iter"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Handle names a connection for other goroutines, as engine.Handle does: 8 bytes, comparable, safe to keep and to use
// from any goroutine. When the connection is closed its methods return engine.ErrClosed. The zero Handle is a closed one.
type Handle struct{ c *Conn }

func (h Handle) engine() engine.Handle {
	if h.c == nil {
		return engine.Handle{}
	}
	return h.c.conn.Handle()
}

// Send has a message sent; data is copied before Send returns. nil says that the loop will send it, which is in vain if
// the connection closes before.
func (h Handle) Send(op Opcode, data []byte) error { return h.engine().PostBytes(uint32(op), data) }

// Close begins the closing handshake, behind what was sent before: see Conn.Close.
func (h Handle) Close(code CloseCode, reason string) error {
	return h.engine().PostBytes(uint32(wsproto.Close)|uint32(code)<<16, []byte(reason))
}

// Post has f called on the connection's loop, unless the connection is closed by then.
func (h Handle) Post(f func(*Conn)) error {
	return h.engine().Post(func(*engine.Conn) { f(h.c) })
}

// Closed says whether the connection is closed. False may be outdated when it is returned.
func (h Handle) Closed() bool { return h.engine().Closed() }

// Posted implements engine.Receiver. The low byte of tag is an opcode, the high half a close code.
func (c *Conn) Posted(tag uint32, b []byte) {
	if op := Opcode(tag); op != wsproto.Close {
		c.send(op, b) // an error means closing; Close tells
		return
	}
	c.Close(CloseCode(tag>>16), string(b))
}

// Broadcast sends a prepared message to any set of connections, on whichever loops and engines they are. It may be called
// from any goroutine, posts one task per loop and 256 connections, and copies nothing. Those that are closed by then are
// passed over; slow says what becomes of the message for those that do not keep up. slices.Values and maps.Keys make the
// sequence from what one keeps.
func Broadcast(p *Prepared, to iter.Seq[Handle], slow engine.SlowPolicy) {
	engine.Each(func(yield func(engine.Handle) bool) {
		for h := range to {
			if !yield(h.engine()) {
				return
			}
		}
	}, func(ec *engine.Conn) {
		if c, ok := ec.Protocol().(*Conn); ok {
			c.SendPrepared(p, slow)
		}
	})
}
