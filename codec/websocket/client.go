package websocket

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/myriadnet/myriad/wsproto"
)

// Client opens connections on an engine's loops, as many as one likes, and is what they have in common: callbacks and limits.
// The zero value works, and drops every message. A Client must not be changed once it is in use, and may be used with several
// engines and by any goroutine. The callbacks are called as a Server's are.
type Client struct {
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op Opcode, data []byte)
	// Piece, if it is set, gets large messages piece by piece: see Server.Piece. Optional.
	Piece func(c *Conn, op Opcode, data []byte, last bool)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called. Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Drained is called when a server has caught up: see Conn.Send. Optional.
	Drained func(*Conn)
	// Close is called once for each connection that was opened, and is the last call: see Server.Close. Optional.
	Close func(c *Conn, err error)

	// Subprotocols are what the client speaks, best first. The server chooses one, or none: Conn.Subprotocol.
	Subprotocols []string
	// Header is for further fields of the request: Origin, Cookie, Authorization.
	Header http.Header
	// LocalAddr is what to bind to. Default: the kernel chooses; so it does for port 0.
	LocalAddr netip.AddrPort

	// Limits bound what a server can make the client hold, and how long it can make it wait.
	// HandshakeTimeout is the time from Dial to the end of the server's response; Dial's context
	// bounds it as well. CloseTimeout is also how long the server may take to close the connection
	// after the closing handshake, as it has to (RFC 6455 section 7.1.1).
	Limits

	// Compression has permessage-deflate offered. nil: it is not, see Compression why.
	Compression *Compression

	once     sync.Once
	err      error // of what does not make sense in it
	services services
}

// prepare derives what connections share, once. It returns the service for no subprotocol.
func (cl *Client) prepare() (*service, error) {
	cl.once.Do(func() {
		cl.err = checkCompression(cl.Compression)
		cl.services = newServices(service{
			message: cl.Message, piece: cl.Piece, ping: cl.Ping, pong: cl.Pong, drained: cl.Drained, close: cl.Close,
			compression: cl.Compression,
		}, wsproto.Client, cl.Limits, cl.Subprotocols)
	})
	return &cl.services[0], cl.err
}
