package websocket

import (
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
