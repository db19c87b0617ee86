package websocket

import (
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Handle names a connection for other goroutines, as engine.Handle does: 8 bytes, comparable, safe
// to keep and to use from any goroutine. When the connection is closed, its methods return
// engine.ErrClosed. The zero Handle is one of a closed connection.
//
// What one goroutine asks for through handles of one loop is done in that order. A nil error means
// that the loop will do it, unless the connection closes first.
type Handle struct{ c *Conn }

func (h Handle) engine() engine.Handle {
	if h.c == nil {
		return engine.Handle{}
	}
	return h.c.conn.Handle()
}

// Send sends a message. It copies data. The error is engine.ErrBusy if too much waits for the
// connection's loop already. A goroutine that produces faster than the peer may take it uses
// SendWait.
func (h Handle) Send(op Opcode, data []byte) error {
	if err := checkOpcode(op); err != nil {
		return err
	}
	return h.engine().PostBytes(uint32(kindOf(op)), data)
}

// SendPrepared sends a message that was encoded before: see Conn.SendPrepared.
func (h Handle) SendPrepared(p *Prepared, slow engine.SlowPolicy) error {
	return h.Post(func(c *Conn) { c.SendPrepared(p, slow) })
}

// Ping sends a ping: see Conn.Ping.
func (h Handle) Ping(data []byte) error {
	if err := checkPing(data); err != nil {
		return err
	}
	return h.engine().PostBytes(uint32(kindOf(wsproto.Ping)), data)
}

// Close begins the closing handshake, behind what was sent before: see Conn.Close. It is not
// refused if much waits for the loop. The error is that the code may not be sent, or
// engine.ErrClosed.
func (h Handle) Close(code CloseCode, reason string) error {
	if err := checkCode(code); err != nil {
		return err
	}
	err := h.engine().PostBytes(uint32(kindOfClose(code)), []byte(reason))
	if err == engine.ErrBusy {
		err = h.Post(func(c *Conn) { c.Close(code, reason) })
	}
	return err
}

// Post calls f on the connection's loop, unless the connection is closed by then.
func (h Handle) Post(f func(*Conn)) error {
	if f == nil {
		return h.engine().Post(nil) // which has the error
	}
	return h.engine().Post(func(*engine.Conn) { f(h.c) })
}

// Loop returns the number of the connection's loop, as Conn.Loop does; -1 for the zero Handle.
func (h Handle) Loop() int { return h.engine().Loop() }

// Closed reports whether the connection is closed. False may be outdated when it is returned.
func (h Handle) Closed() bool { return h.engine().Closed() }
