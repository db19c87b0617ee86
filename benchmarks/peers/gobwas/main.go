// Command gobwas is an echo and broadcast server on github.com/gobwas/ws. It uses the low-level
// API, as its author recommends for performance: ws.Upgrader on the connection, without net/http;
// ws.ReadHeaderBuffer for headers; ws.Cipher to unmask payloads in place; a goroutine and 4 KiB for
// each connection.
//
// The library leaves buffers to its user. This server holds answers back until the connection would
// wait for input, so that messages that arrive together are answered together. With -compress and
// for a broadcast, it assembles fragmented messages by wsutil.Reader.
package main

import (
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(true)
	s := &server{Options: o}
	peer.Accept(peer.ListenWebSocket(o), s.serve)
}

type server struct {
	peer.Options
	room peer.Room[*conn]
}

// serve does the handshake. Another goroutine does the rest, because this one's stack has grown.
func (s *server) serve(nc *net.TCPConn) {
	// The default parameters are without context takeover.
	compression := wsflate.Extension{Parameters: wsflate.DefaultParameters}
	var u ws.Upgrader
	if s.Compress {
		u.Negotiate = compression.Negotiate
	}
	if _, err := u.Upgrade(nc); err != nil {
		nc.Close()
		return
	}
	_, compressed := compression.Accepted()
	if s.Broadcast || compressed {
		go s.messages(newConn(nc, compressed))
	} else {
		go newEcho(nc).run()
	}
}
