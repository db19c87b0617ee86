package websocket

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/internal/saved"
	"github.com/myriadnet/myriad/wsproto"
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
// Stream, those that send a message piece by piece, by SendPiece or SendFrom, those that inflate a
// large message, and those that are closing. An opening handshake moves unless it is deferred, or
// comes by Upgrade.
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
	// Load is called before Load. Optional.
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
		if dst, err = h.Save(c, dst); err != nil {
			return before, fmt.Errorf("%w: %w", saved.Unmovable("websocket.Handover.Save"), err)
		}
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

// Load makes a connection that has moved one of s: engine.Handover calls it with what the Server of
// the old process has saved. s must have the Subprotocol and the Compression that the connection
// has agreed on; its limits may be others: see Handover. It is called on the connection's loop,
// when what the old process has not sent is queued again. The error is that state is malformed, or
// of another version, or that s does not have what the connection needs; then c is still the
// caller's. Load panics if Check returns an error.
func (s *Server) Load(c *engine.Conn, state []byte) (engine.Protocol, error) {
	r := saved.NewReader(state)
	kind := readKind(&r)
	if r.Err() == nil && kind == savedOpen {
		r.Bytes(math.MaxUint16) // the path: only a Mux has several
	}
	return s.load(c, kind, &r)
}

// readKind reads the beginning of a state.
func readKind(r *saved.Reader) (kind byte) {
	r.Check(r.Byte() == savedFormat)
	kind = r.Byte()
	r.Check(kind < savedKinds && (kind == savedOpen || len(r.Rest()) == 0))
	return kind
}

// load is Load behind the path.
func (s *Server) load(c *engine.Conn, kind byte, r *saved.Reader) (engine.Protocol, error) {
	if _, err := s.prepare(); err != nil {
		panic(err)
	}
	switch {
	case r.Err() != nil:
		return nil, fmt.Errorf("websocket: %w", r.Err())
	case kind == savedHandler:
		return s.Accept(c), nil
	case kind == savedRequested:
		return s.AcceptWebSocket(c), nil
	}
	ws := &Conn{conn: c, service: &s.services[0]}
	user, err := ws.load(r)
	var attached []attached
	if err == nil || errors.As(err, new(*wsproto.ProtocolError)) {
		var e error
		if attached, user, e = s.Handover.readAttached(user); e != nil {
			err = e
		}
	}
	if len(user) > 0 && (s.Handover == nil || s.Handover.Load == nil) {
		err = saved.Unmovable("no websocket.Handover.Load")
	}
	var over *wsproto.ProtocolError // a limit of the new process
	if err != nil && !errors.As(err, &over) {
		ws.unload()
		return nil, fmt.Errorf("websocket: %w", err)
	}
	ws.resume(attached, user, over)
	return (*protocol)(ws), nil
}

// load is the reverse of save. It returns what the user has saved.
func (c *Conn) load(r *saved.Reader) (user []byte, err error) {
	s := c.service.server
	c.service = c.service.speaking(string(r.Bytes(math.MaxUint16)))
	flags, bits, now := r.Byte(), r.Byte(), c.conn.Now()
	r.Check(flags < savedFlags && (bits == 0 || bits >= 8 && bits <= wsproto.MaxWindowBits))
	c.setSendBits(bits & wsproto.MaxWindowBits)
	c.meter.SetLevel(now, uint32(r.Uvarint(math.MaxUint32)))
	copy(c.remote.ip[:], r.Take(len(c.remote.ip)))
	c.remote.port = uint16(r.Byte())<<8 | uint16(r.Byte())
	if flags&savedPong != 0 {
		v := c.makeRare()
		v.pong, v.pongDue = append(v.pong[:0], r.Bytes(wsproto.MaxControl)...), true
	}
	if flags&savedRates != 0 {
		c.loadRates(r, flags&savedPaused != 0, now)
	}
	if flags&(savedInPieces|savedDropping) != 0 && c.service.rate != nil {
		c.makeRare().inPieces, c.rare.dropping = flags&savedInPieces != 0, flags&savedDropping != 0
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	place, err := s.open.Acquire(quota.Prefix(c.RemoteAddr().Addr()))
	if err != nil {
		return nil, saved.Unmovable("MaxPerAddress")
	}
	if place != nil {
		c.makeRare().place = place
	}
	return c.loadMessages(r.Rest(), flags)
}

// loadMessages loads the receiver and the sender.
func (c *Conn) loadMessages(b []byte, flags byte) (user []byte, err error) {
	config := &c.service.receive
	if c.sendBits() != 0 && config.Compressor == nil {
		return nil, saved.Unmovable("configuration differs")
	}
	var over error
	if c.receiver, b, err = wsproto.LoadReceiver(config, b); err != nil {
		if !errors.As(err, new(*wsproto.ProtocolError)) {
			return nil, err
		}
		over = err
	}
	windows := c.receiver.WindowBytes()
	if flags&savedSender != 0 {
		sender, rest, err := wsproto.LoadSender(config, b)
		if err != nil {
			return nil, err
		}
		b, c.makeRare().sender = rest, &sender
		windows += sender.WindowBytes()
	}
	if windows > 0 {
		c.countWindows(windows)
	}
	return b, over
}

// loadRates loads the buckets of Server.Rate. paused says that the engine does not read until they
// have room.
func (c *Conn) loadRates(r *saved.Reader, paused bool, now time.Duration) {
	loaded := rates{bucket(r.Uvarint(2 * longest)), bucket(r.Uvarint(2 * longest))}
	loaded.messages += bucket(now)
	loaded.bytes += bucket(now)
	wait := time.Duration(0)
	if c.service.rate != nil {
		c.makeRare().rates = loaded
		l := newRateLimits(c.service.rate)
		wait = max(wait, l.messages.over(loaded.messages, 0, now), l.bytes.over(loaded.bytes, 0, now))
	}
	if paused {
		c.conn.PauseRead()
		c.conn.AfterFunc(wait, c.conn.ResumeRead).LeaveBehind()
	}
}

// resume goes on with a connection that was loaded. over is a limit that it exceeds.
func (c *Conn) resume(attached []attached, user []byte, over *wsproto.ProtocolError) {
	s := c.service.server
	c.flags |= isOpen
	c.conn.SetIdleTimeout(c.service.receive.IdleTimeout)
	c.conn.SetProtocol((*protocol)(c)) // before Load, which may broadcast
	c.countHeld()
	if err := s.Handover.load(c, attached, user); err != nil {
		c.sayGoodbye(wsproto.ServiceRestart)
		c.flags &^= isOpen // Close is not called
		c.conn.CloseWith(fmt.Errorf("websocket: Handover.Load: %w", err))
		return
	}
	switch {
	case over != nil:
		c.failNow(over)
	case c.receiver.InMessage():
		c.noteUnfinished()
	}
}

// unload takes back what load has counted.
func (c *Conn) unload() {
	c.conn.AddHeld(-c.windowBytes())
	if r := c.rare; r != nil {
		c.service.windows.Add(-int64(r.windows))
		if r.place != nil {
			c.service.server.open.Release(r.place)
		}
	}
	c.freeRare()
	c.receiver.Release()
}
