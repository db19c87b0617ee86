package websocket

import (
	"net/http"
	"sync"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Handshake is an opening handshake that the server is about to accept. It is valid during the call
// that gets it: the callback Server.Handshake, or the function given to Deferred.Decide, which gets
// another Handshake than the callback. Afterwards Raw and Conn are nil, Refuse and ResponseHeader
// have no effect, and Request and Defer panic.
type Handshake struct {
	// Raw is the request as it was sent, without an allocation. Its slices are valid during the
	// callback. Path and Query are not decoded: see Request.
	Raw *handshake.Request
	// Conn is the connection. It cannot send yet, but its Value may be set.
	Conn *Conn
	// Subprotocol is the one that was agreed on, or "". It may be replaced by any other that the
	// client offers, or by ""; h.Raw.Subprotocol(names) tells which of some names it offers. One
	// that is not in Server.Subprotocols takes 240 bytes more per connection.
	Subprotocol string
	// NoCompression declines compression, whatever Server.Compression says.
	NoCompression bool

	request  *http.Request // what Upgrade was given, or what Request has made
	header   http.Header   // what ResponseHeader has made
	deferred *Deferred     // by Defer
	loop     int           // by MoveTo, if moves
	moves    bool          // by MoveTo
	refused  bool          // by Refuse
	status   int
	body     string
}

// Refuse refuses the handshake with an HTTP status from 300 to 599, a short text, and the fields of
// ResponseHeader. Another status is a mistake: the client gets status 500, and Server.Refused is
// told.
func (h *Handshake) Refuse(status int, text string) { h.refused, h.status, h.body = true, status, text }

// ResponseHeader returns the header fields that the response has besides those of the handshake
// itself. It may be added to. Its Content-Type is that of the text of Refuse, by default
// text/plain, and is left out if the handshake is accepted. Other fields that decide how the
// response is read (handshake.Reserved) must not be in it: the client would get status 500, and
// Server.Refused is told.
//
// For a connection of Upgrade it begins with the fields that the ResponseWriter had.
func (h *Handshake) ResponseHeader() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}

// opening is what one handshake needs while it is looked at, which is during one Feed. It is
// pooled, but for a Handshake that user code sees: one that was kept must not become that of
// another client.
type opening struct {
	request   handshake.Request
	handshake *Handshake  // in use
	own       Handshake   // if nobody sees it
	unused    []Handshake // for user code; made by the dozen, which saves most of the allocations
}

var openings = sync.Pool{New: func() any { return new(opening) }}

// use returns the Handshake, which the caller fills.
func (o *opening) use(seen bool) *Handshake {
	if !seen {
		o.handshake = &o.own
		return o.handshake
	}
	if len(o.unused) == 0 {
		o.unused = make([]Handshake, 12)
	}
	o.handshake, o.unused = &o.unused[0], o.unused[1:]
	return o.handshake
}

// release forgets the connection, and keeps the memory. A Handshake that is used later has no Raw
// and no Conn.
func (o *opening) release() {
	if o.handshake != nil {
		*o.handshake = Handshake{}
	}
	*o = opening{unused: o.unused}
	openings.Put(o)
}
