package websocket

import (
	"crypto/tls"
	"sync"

	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto"
)

// rare is what most connections do not have.
type rare struct {
	sender    *wsproto.Sender // the connection's own, with context takeover
	windows   int             // bytes of the connection's windows
	closing   *CloseError     // of the closing handshake; the peer's part too, if Code is set
	handshake *quota.Client   // of a server during the handshake: see Server.handshakes
	place     *quota.Client   // of a server: see Server.open
	front     *Server         // of a Mux, which counts the handshake; nil: the connection's own
	upgraded  *upgraded       // of a server during the handshake: see Upgrade
	deferred  *Deferred       // of a server during the handshake
	outgoing  *outgoing       // a message that is being sent piece by piece
	waiters   *waiter         // messages of Handle.SendWait, a list
	last      *waiter         // the end of that list
	context   *connContext    // of Conn.Context
	scanned   uint32          // of a server during the handshake: bytes of the request seen
	pongDue   bool
	inPieces  bool   // of Server.Rate: a message has begun to come in pieces
	dropping  bool   // and is dropped
	excess    bool   // and it pauses the peer: see Conn.pauseFor
	rates     rates  // of Server.Rate
	pong      []byte // the answer to the latest ping, for when the peer takes something
	moved     *moved // of a server, when its handshake is about to go on on another loop

	tls         *tls.ConnectionState // of a server during the handshake; nil: no TLS
	tlsHeld     int                  // what it counts for: see countTLS
	attachments *[]Attachment        // nil: none
}

// rares are used again, since each handshake has one: what a storm of them would leave to the
// garbage collector stays resident.
var rares = sync.Pool{New: func() any { return new(rare) }}

// makeRare returns c.rare, made if there is none.
func (c *Conn) makeRare() *rare {
	if c.rare == nil {
		c.rare = rares.Get().(*rare)
	}
	return c.rare
}

// freeRare gives c.rare back.
func (c *Conn) freeRare() {
	if r := c.rare; r != nil {
		c.rare = nil
		*r = rare{}
		rares.Put(r)
	}
}

// empty reports whether there is nothing in r.
func (r *rare) empty() bool {
	return r.sender == nil && r.windows == 0 && r.closing == nil && r.handshake == nil && r.place == nil &&
		r.front == nil && r.upgraded == nil && r.deferred == nil && r.outgoing == nil && r.waiters == nil &&
		r.context == nil && r.moved == nil && r.tls == nil && r.scanned == 0 && !r.pongDue &&
		r.rates == (rates{}) && r.attachments == nil && !r.inPieces && !r.excess
}

// tlsState returns what crypto/tls tells about the connection of a handshake, nil without TLS.
func (c *Conn) tlsState() *tls.ConnectionState {
	if c.rare == nil {
		return nil
	}
	return c.rare.tls
}

// isHTTP2 reports whether the client of a handshake has agreed on HTTP/2 (RFC 7301).
func (c *Conn) isHTTP2() bool {
	state := c.tlsState()
	return state != nil && state.NegotiatedProtocol == http2Protocol
}

// http2Protocol is the name of HTTP/2 over TLS: RFC 9113 section 3.2.
const http2Protocol = "h2"
