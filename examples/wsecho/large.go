package main

import (
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// peer is the Value of a connection at /broadcast, and of one in the midst of a large message that has to be kept.
type peer struct {
	speaks bool   // to all
	large  []byte // what has come of a large message, and was not sent
}

// piece sends a large message back as it comes. What the peer does not take is kept until all has come: it may write all of a
// message before it reads. What goes to all is kept, too.
func (a *audience) piece(c *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
	p, _ := c.Value.(*peer)
	if p == nil {
		if last || c.EngineConn().Pressure() == engine.Sent {
			c.SendPiece(op, data, last)
			return
		}
		p = new(peer)
		c.Value = p
	}
	if p.large = append(p.large, data...); !last {
		return
	}
	if p.speaks {
		a.tell(op, p.large)
		p.large = nil
	} else {
		c.SendPiece(op, p.large, true)
		c.Value = nil
	}
}
