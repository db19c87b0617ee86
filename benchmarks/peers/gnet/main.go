// Command gnet is a TCP echo and broadcast server on github.com/panjf2000/gnet.
//
// As its documentation shows, OnTraffic takes all there is by Next, without a copy, and Write sends
// it at once. There is one loop, on which all connections may be written to without a queue.
package main

import (
	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/gnetpeer"
	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(false)
	if o.Broadcast {
		gnetpeer.Run(&relay{room: make(map[gnet.Conn]bool)}, o, false)
	}
	gnetpeer.Run(new(echo), o, false)
}

type echo struct{ gnet.BuiltinEventEngine }

func (*echo) OnTraffic(c gnet.Conn) gnet.Action {
	b, _ := c.Next(-1)
	c.Write(b)
	return gnet.None
}

// relay needs no lock: there is one loop. Write calls OnClose if the connection is broken, and a
// map may lose entries while it is ranged over.
type relay struct {
	gnet.BuiltinEventEngine
	room map[gnet.Conn]bool
}

func (r *relay) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	r.room[c] = true
	return nil, gnet.None
}

func (r *relay) OnClose(c gnet.Conn, _ error) gnet.Action {
	delete(r.room, c)
	return gnet.None
}

func (r *relay) OnTraffic(c gnet.Conn) gnet.Action {
	b, _ := c.Next(-1)
	for to := range r.room {
		to.Write(b)
	}
	return gnet.None
}
