package websocket

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Client opens connections on an engine's loops. It is the callbacks and limits that these have in
// common. The zero value works, and drops every message. A Client must not be changed once it is in
// use. Any goroutine may use it, with several engines. Its callbacks are called as those of a
// Server are.
type Client struct {
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op Opcode, data []byte)
	// Piece gets large messages piece by piece: see Server.Piece. Optional.
	Piece func(c *Conn, op Opcode, data []byte, last bool)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called.
	// Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Drained is called when a server has caught up: see Conn.Send. Optional.
	Drained func(*Conn)
	// Close is called once for each connection that was opened, and is the last call: see
	// Server.Close. Optional.
	Close func(c *Conn, err error)

	// Subprotocols are the subprotocols that the client offers, best first. The server chooses one,
	// or none: see Conn.Subprotocol.
	Subprotocols []string
	// Header has further fields of the request, such as Origin, Cookie and Authorization.
	Header http.Header
	// Host is the Host field of the request. Default: that of the URL, which is connected to in any
	// case.
	Host string
	// UnixSocket is the path of a unix socket to connect to instead of the host of the URL. A name
	// that begins with @ is abstract, on Linux. Optional.
	UnixSocket string
	// TLS makes the layer for URLs with wss: the method Client of a tlslayer.Layer, whose
	// NextProtos must not list h2. It gets the host of the URL, for which the server must have a
	// certificate unless the tls.Config has a ServerName. wsconn.Config.TLS is a tls.Config
	// instead. To check the server, or to know its certificate, use VerifyConnection of the
	// tls.Config. Default: such URLs are refused.
	TLS func(serverName string) engine.Layer
	// LocalAddr is the local address. Default: the kernel chooses. It also chooses for port 0.
	LocalAddr netip.AddrPort

	// Limits bound what a server can make the client hold, and how long it can make it wait.
	// HandshakeTimeout is the time from Dial to the end of the server's response; Dial's context
	// bounds it as well. CloseTimeout is also how long the server may take to close the connection
	// after the closing handshake, as it has to (RFC 6455 section 7.1.1).
	Limits

	// Rate limits how fast a server may send messages. Default: no limit.
	Rate *Rate

	// Compression makes the client offer permessage-deflate. It is off if nil: see there why.
	Compression *Compression

	once     sync.Once
	err      error // of the checks
	services services
}

// prepare derives what connections share, once. It returns the service for no subprotocol.
func (cl *Client) prepare() (*service, error) {
	cl.once.Do(func() {
		if cl.err = checkCompression(cl.Compression); cl.err == nil {
			cl.err = cl.Rate.check()
		}
		cl.services = newServices(service{
			message: cl.Message, piece: cl.Piece, ping: cl.Ping, pong: cl.Pong,
			drained: cl.Drained, close: cl.Close, compression: cl.Compression, rate: cl.Rate,
		}, wsproto.Client, cl.Limits, cl.Subprotocols)
	})
	return &cl.services[0], cl.err
}
