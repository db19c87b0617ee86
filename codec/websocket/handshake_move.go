package websocket

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/myriadnet/myriad/engine"
)

// MoveTo makes loop number loop of the engine serve the WebSocket (see Conn.Loop), as one that must
// be with others on one loop. It takes effect when the callback has returned, unless that refuses
// or defers the handshake; after Defer, MoveTo may be called in the function of Deferred.Decide.
// The client does not notice, and its handshake is answered on the new loop.
//
// There it is another Conn, with the same Value, for which Open is called: a Handle, a context or a
// timer of h.Conn ends with the move, and h.Conn.EngineConn loses what was set on it. A number that
// is not that of a loop is a mistake: the client gets status 500, and Server.Refused is told.
func (h *Handshake) MoveTo(loop int) { h.loop, h.moves = loop, true }

// moved is a handshake on its way to another loop: what the callback has decided, and what the Conn
// of the old loop has left.
type moved struct {
	head        []byte
	subprotocol string
	plain       bool // NoCompression
	request     *http.Request
	header      http.Header

	from Conn // but for its conn
}

// mustMove reports whether the handshake goes on elsewhere. The error is that there is no such
// loop.
func (c *Conn) mustMove(h *Handshake) (bool, error) {
	if !h.moves || h.loop == c.Loop() {
		return false, nil
	}
	if n := c.conn.Engine().Loops(); h.loop < 0 || h.loop >= n {
		return false, fmt.Errorf("websocket: Handshake.MoveTo(%d), of %d loops", h.loop, n)
	}
	return true, nil
}

// moveTo takes the connection to another loop, where arrive goes on. It returns what Feed must.
func (c *Conn) moveTo(h *Handshake, head []byte) error {
	m := &moved{head: bytes.Clone(head), subprotocol: h.Subprotocol, plain: h.NoCompression, request: h.request,
		header: h.header}
	c.makeRare().moved = m
	err := c.conn.MoveTo(h.loop, m.arrive)
	if err != nil { // the callback has closed the connection, which stays
		c.rare.moved = nil
	}
	return err
}

// depart leaves to m what goes with the connection, which is closed for c.
func (c *Conn) depart(m *moved) {
	c.uncountTLS()
	c.rare.moved, c.rare.context = nil, nil
	m.from = Conn{Value: c.Value, service: c.service, rare: c.rare, flags: c.flags, remote: c.remote}
	c.Value, c.rare, c.flags = nil, nil, closeSent
	ends.end(c)
}

// arrive makes the Conn of the new loop, and ends the handshake there. ec is nil if that loop has
// ended.
func (m *moved) arrive(ec *engine.Conn) engine.Protocol {
	c := &m.from
	if ec == nil {
		c.endHandshake()
		return nil
	}
	c = &Conn{conn: ec, Value: c.Value, service: c.service, rare: c.rare, flags: c.flags, remote: c.remote}
	if m.request != nil {
		m.request = ofConn(m.request, c)
	}
	c.countTLS()
	ec.SetTimeout(c.service.receive.HandshakeTimeout)
	ec.SetProtocol((*protocol)(c)) // before Open, which may broadcast
	o := openings.Get().(*opening)
	defer o.release()
	key := c.reopen(o, &Deferred{head: m.head, subprotocol: m.subprotocol, plain: m.plain, request: m.request,
		header: m.header})
	if err := c.conclude(o, key, m.head); err != nil {
		ec.CloseWith(err)
	}
	return (*protocol)(c)
}
