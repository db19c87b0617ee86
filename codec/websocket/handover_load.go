package websocket

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/engine/saved"
	"github.com/myriadnet/myriad/wsproto"
)

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
	over := exceeded(err)
	if err != nil && over == nil {
		ws.unload()
		return nil, fmt.Errorf("websocket: %w", err)
	}
	ws.resume(attached, user, over)
	return (*protocol)(ws), nil
}

// exceeded returns which limit of the new process a connection exceeds, if that is the error.
func exceeded(err error) *wsproto.ProtocolError {
	if err == nil {
		return nil
	}
	var over *wsproto.ProtocolError // below the check, since it is allocated here
	errors.As(err, &over)
	return over
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
		c.pauseFor(wait)
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
