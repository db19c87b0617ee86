package websocket

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/saved"
)

// Handover lets the connections of a Server move to another process, in a hot restart of the
// engine. The zero value is for connections of which the program keeps nothing: no Value, nothing
// attached, no Handle.
//
// For the old process a connection that moves is one that closes: the callback Close is the last
// call, contexts end, and Handles return engine.ErrClosed. In the new one Load is called instead of
// Open. The client notices nothing: a message of which a part has arrived goes on, and so does
// compression with its windows. Timers begin anew. Limits are those of the new process; a message
// in progress that is larger is refused there.
//
// What cannot move is closed with code 1001, as by engine.Engine.Shutdown: connections with a
// Stream, those that send a message piece by piece, by SendPiece or SendFrom, those of a Server
// with Piece in the middle of a compressed message, and those that are closing. An opening
// handshake moves unless it is deferred, or comes by Upgrade.
type Handover struct {
	// Save appends to dst what Load needs: of the Value, and of what is attached. It must not
	// change the connection, which stays if the handover fails. A connection for which it returns
	// an error does not move. It is called on the connection's loop. Optional: without it,
	// connections with a Value, or with Attachments that no Mover owns, do not move.
	Save func(c *Conn, dst []byte) ([]byte, error)
	// Load gets what Save has appended, which is valid until it returns, sets the Value and
	// attaches what was attached. It may do what Open may. If it returns an error, the connection
	// is closed with code 1012, and Close is not called. It is called on the connection's loop.
	// Optional if there is no Save.
	Load func(c *Conn, state []byte) error
	// Movers move what is attached to connections, by names that both processes know them by. Their
	// Load is called before Load, in the order of their names. Optional.
	Movers map[string]Mover
}

// Mover moves what it has attached to connections to another process: see Handover. A topic.Hub and
// a wire.Endpoint move the subscriptions. Its methods are called on the connection's loop.
type Mover interface {
	// Owns reports whether a is the Mover's own, which moves by it.
	Owns(a Attachment) bool
	// Save is Handover.Save for what the Mover owns. It is called for connections that have some.
	Save(c *Conn, dst []byte) ([]byte, error)
	// Load is Handover.Load for what Save has appended.
	Load(c *Conn, state []byte) error
}

// savedFormat is the format of a saved connection:
//
//	format, kind, [path, subprotocol, flags, bits, meter, remote, [pong], [rates], receiver,
//	[sender], attached, user's]
//	bits:   of the window that messages are compressed with, 0 without compression
//	meter:  that of control frames, by its level
//	remote: the client's address, 16 bytes and the port: asking the kernel takes longer
//	pong:   what is to be sent when the peer takes something
//	rates:  how far both are ahead of the time, in nanoseconds
//	attached: how many Movers have something, and for each its name and what it has saved
const savedFormat = 1

// The kinds of saved connections.
const (
	savedOpen      = iota
	savedRequested // its request has not come whole
	savedHandler   // and may be for the Handler
	savedKinds
)

// The flags of saved connections.
const (
	savedSender   = 1 << iota // there is a sender of its own
	savedPong                 // there is a pong
	savedRates                // there are rates
	savedPaused               // because of them it is not read from
	savedInPieces             // rare.inPieces
	savedDropping             // rare.dropping
	savedFlags
)

// unmovable returns why c cannot move; "": it can.
func (c *Conn) unmovable() saved.Unmovable {
	r := c.rare
	if r == nil {
		r = new(rare)
	}
	switch {
	case c.flags&closeSent != 0 || r.closing != nil:
		return "closing"
	case c.flags&isClient != 0:
		return "WebSocket client"
	case r.deferred != nil || r.upgraded != nil || r.moved != nil:
		return "opening handshake"
	case c.flags&isOpen == 0:
		if _, whole := c.conn.LayerState().(*tls.ConnectionState); r.tls != nil && !whole {
			return "opening handshake" // what is known of the client does not move
		}
		return ""
	case c.flags&sending != 0:
		return "message is sent in pieces"
	case c.service.stream != nil:
		return "WebSocket Stream"
	}
	switch h := c.service.server.Handover; {
	case h == nil:
		return "no websocket.Handover"
	case h.Save == nil && c.Value != nil:
		return "no websocket.Handover.Save"
	default:
		return h.unmovable(c.Attachments())
	}
}

// Save implements engine.Saver.
func (p *protocol) Save(_ *engine.Conn, dst []byte) ([]byte, error) {
	c := (*Conn)(p)
	if cause := c.unmovable(); cause != "" {
		return dst, cause
	}
	switch {
	case c.flags&isOpen != 0:
		return c.save(dst)
	case c.flags&toHandler != 0:
		return append(dst, savedFormat, savedHandler), nil
	}
	return append(dst, savedFormat, savedRequested), nil
}

// save is Save for an open connection.
func (c *Conn) save(dst []byte) (_ []byte, err error) {
	before, r := dst, c.rare
	if r == nil {
		r = new(rare)
	}
	now, flags := c.conn.Now(), c.savedFlags(r)
	dst = append(dst, savedFormat, savedOpen)
	dst = saved.AppendBytes(dst, c.service.server.path())
	dst = saved.AppendBytes(dst, c.Subprotocol())
	dst = append(dst, flags, c.sendBits())
	dst = binary.AppendUvarint(dst, uint64(c.meter.Level(now)))
	dst = binary.BigEndian.AppendUint16(append(dst, c.remote.ip[:]...), c.remote.port)
	if flags&savedPong != 0 {
		dst = saved.AppendBytes(dst, r.pong)
	}
	if flags&savedRates != 0 {
		dst = binary.AppendUvarint(dst, uint64(max(0, time.Duration(r.rates.messages)-now)))
		dst = binary.AppendUvarint(dst, uint64(max(0, time.Duration(r.rates.bytes)-now)))
	}
	if dst, err = c.receiver.Save(dst); err != nil {
		return before, err
	}
	if flags&savedSender != 0 {
		dst = r.sender.Save(dst)
	}
	h := c.service.server.Handover
	if dst, err = h.saveAttached(c, dst); err != nil {
		return before, err
	}
	if h.Save != nil {
		user, err := h.Save(c, dst[len(dst):]) // which must not lose what is in dst
		if err != nil {
			return before, fmt.Errorf("%w: %w", saved.Unmovable("websocket.Handover.Save"), err)
		}
		dst = append(dst, user...)
	}
	return dst, nil
}

func (c *Conn) savedFlags(r *rare) (flags byte) {
	limited := c.service.rate != nil && r.rates != (rates{})
	for i, set := range []bool{r.sender != nil, r.pongDue, limited,
		limited && !c.conn.Reading(), r.inPieces, r.dropping} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}
