package websocket

import (
	"sync"

	"github.com/myriadnet/myriad/wsproto"
)

// rare is what most connections never have.
type rare struct {
	window  *wsproto.Window // of what was sent compressed, with context takeover
	closed  *CloseError     // a client's that waits for the server to close the connection
	from    *caller         // a server's during the handshake, see lobby
	taken   *taken          // a server's during the handshake, see Upgrade
	pong    []byte          // the answer to the latest ping, for when the peer takes something
	pongDue bool

	outgoing *outgoing // a message that is being sent piece by piece
}

// rares are used again, since each handshake has one: what a storm of them would leave to the garbage collector stays resident.
var rares = sync.Pool{New: func() any { return new(rare) }}

// rarely is c.rare, made if there is none.
func (c *Conn) rarely() *rare {
	if c.rare == nil {
		c.rare = rares.Get().(*rare)
	}
	return c.rare
}

// noRare gives it back.
func (c *Conn) noRare() {
	if r := c.rare; r != nil {
		c.rare = nil
		*r = rare{}
		rares.Put(r)
	}
}

// empty says whether there is nothing in it.
func (r *rare) empty() bool {
	return r.window == nil && r.closed == nil && r.from == nil && r.taken == nil && !r.pongDue && r.outgoing == nil
}
