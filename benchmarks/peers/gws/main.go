// Command gws is an echo and broadcast server on github.com/lxzan/gws. It uses the library's own
// server, without net/http.
//
// The read loop calls the handler. ParallelEnabled, with a goroutine for each message, is for slow
// handlers: it costs more for an echo and may reorder answers. A broadcast uses Broadcaster, which
// encodes once and writes through a queue of each connection. UTF-8 is not checked, as by default.
package main

import (
	"bytes"
	"log"
	"net"

	"github.com/lxzan/gws"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(true)
	var h gws.Event = echo{}
	if o.Broadcast {
		h = new(relay)
	}
	server := gws.NewServer(h, &gws.ServerOption{
		ReadMaxPayloadSize: peer.MaxMessage,
		PermessageDeflate:  gws.PermessageDeflate{Enabled: o.Compress},
	})
	server.OnError = func(net.Conn, error) {} // a handshake that failed
	log.Fatal(server.RunListener(peer.Secure(o, peer.ListenWebSocket(o))))
}

type echo struct{ gws.BuiltinEventHandler }

func (echo) OnMessage(c *gws.Conn, message *gws.Message) {
	c.WriteMessage(message.Opcode, message.Bytes())
	message.Close()
}

type relay struct {
	gws.BuiltinEventHandler
	room peer.Room[*gws.Conn]
}

func (r *relay) OnOpen(c *gws.Conn)           { r.room.Join(c) }
func (r *relay) OnClose(c *gws.Conn, _ error) { r.room.Leave(c) }

func (r *relay) OnMessage(_ *gws.Conn, message *gws.Message) {
	b := gws.NewBroadcaster(message.Opcode, bytes.Clone(message.Bytes())) // it outlives the message
	r.room.Each(func(to *gws.Conn) { b.Broadcast(to) })
	b.Close()
	message.Close()
}
