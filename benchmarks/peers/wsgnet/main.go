// Command wsgnet is a WebSocket echo and broadcast server on github.com/panjf2000/gnet, by
// wsproto/wsgnet of this repository: what users of gnet get from it.
package main

import (
	"github.com/myriadnet/myriad/benchmarks/peers/internal/gnetpeer"
	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/wsgnet"
)

func main() {
	o := peer.Parse(true)
	s := &wsgnet.Server{
		Origins: []string{"*"},
		Limits:  wsproto.Limits{MaxMessage: peer.MaxMessage},
		// an echo of what has come together, to a client that reads late
		MaxOutbound: 64 << 20,
		Message:     func(c *wsgnet.Conn, op wsproto.Opcode, data []byte) { c.Send(op, data) },
	}
	if o.Compress {
		s.Compression = new(deflate.Compression)
	}
	if o.Broadcast {
		room := make(map[*wsgnet.Conn]bool) // there is one loop
		s.Open = func(c *wsgnet.Conn) { room[c] = true }
		s.Close = func(c *wsgnet.Conn, _ error) { delete(room, c) }
		s.Message = func(_ *wsgnet.Conn, op wsproto.Opcode, data []byte) {
			p := wsproto.Prepare(op, data)
			for to := range room {
				to.SendPrepared(p)
			}
		}
	}
	gnetpeer.Run(s, o, true)
}
