// Command gobwas is an echo and broadcast server of github.com/gobwas/ws, by its low-level API, as its author means it to be used
// where performance counts: ws.Upgrader on the connection itself, without net/http; headers by ws.ReadHeaderBuffer, payloads
// unmasked by ws.Cipher in the buffer that they were read into; a goroutine and 4 KiB for each connection.
//
// The library leaves buffers to its user. Here what is written is held back until the connection would wait for input, so that
// answers to messages that came together go out together. With -compress, and for a broadcast, messages are put together by
// wsutil.Reader, since they may come in fragments.
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

// serve does the handshake. The rest is done by another goroutine, since this one's stack has grown.
func (s *server) serve(nc *net.TCPConn) {
	compression := wsflate.Extension{Parameters: wsflate.DefaultParameters} // without context takeover
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
