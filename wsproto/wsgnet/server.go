package wsgnet

import (
	"sync"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Server is a WebSocket service: the callbacks and limits that its connections have in common. It
// must not be changed once it is in use. It implements gnet.EventHandler.
//
// The callbacks are called on the loop of their connection. A byte slice that a callback gets is
// valid until the callback returns, and may be modified.
//
// A peer whose messages take long shares the loop with others: to inflate, in callbacks, or since
// their answers take long to compress. If more than 4 MiB of what it has sent wait, the connection
// is closed with PolicyViolation. On package engine/gnet that is MaxInbound, without a Close frame.
// What waits when the peer sends a FIN without a closing handshake is dropped.
type Server struct {
	gnet.BuiltinEventEngine

	// Handshake is called before an opening handshake is accepted. An error refuses it: with the
	// status of a *handshake.Error, or else with status 500. r is valid during the call. Optional.
	Handshake func(c *Conn, r *handshake.Request) error
	// Open is called when the handshake is done. Close follows. Optional.
	Open func(c *Conn)
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op wsproto.Opcode, data []byte)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called.
	// Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Close is called once for each connection that Open was called for, and is the last call. err
	// is a *wsproto.CloseError if the peer sent a Close frame, a *wsproto.ProtocolError if it broke
	// a rule, one of the errors of this package, or else the error that gnet gives: nil if the
	// engine has ended, or somebody has closed NetConn. Optional.
	Close func(c *Conn, err error)

	// Subprotocols are the subprotocols of the server, best first.
	Subprotocols []string
	// Origins are the origins of pages that may connect, besides those of the server's own host:
	// see handshake.Request.CheckOrigin.
	Origins []string
	// Hosts are the hosts that the server answers to: see handshake.Request.CheckHost. Default:
	// all.
	Hosts []string

	// Limits bound what a peer can make the server hold, and how long it can make it wait. Idle and
	// unfinished peers are looked at from time to time: their timeouts come up to as much later.
	wsproto.Limits
	// MaxOutbound is how many bytes may wait for a peer when a message is sent. Above that the
	// connection is closed with ErrOutboundLimit: gnet's own buffer has no limit. Default: 16 MiB.
	MaxOutbound int
	// Compression switches permessage-deflate on. It is off if nil: see there why.
	Compression *deflate.Compression

	once     sync.Once
	protocol wsproto.Config
	windows  atomic.Int64 // bytes of the windows of all connections

	turnsLock sync.Mutex
	turns     map[gnet.EventLoop]*turns // of the loops with connections that deflate
}

const defaultMaxOutbound = 16 << 20

func (s *Server) prepare() {
	s.once.Do(func() {
		s.protocol = wsproto.Config{Role: wsproto.Server, Limits: s.Limits.WithDefaults()}
		if s.Compression != nil {
			s.protocol.Compressor, s.protocol.InflateStep = deflate.New(*s.Compression), inflateStep
		}
		if s.MaxOutbound <= 0 {
			s.MaxOutbound = defaultMaxOutbound
		}
	})
}

// OnOpen waits for the opening handshake.
func (s *Server) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	s.prepare()
	c := &Conn{server: s, conn: gc, loop: gc.EventLoop(), remote: gc.RemoteAddr()}
	gc.SetContext(c)
	c.startTimer(s.protocol.HandshakeTimeout)
	return nil, gnet.None
}

// OnTraffic serves what has arrived.
func (s *Server) OnTraffic(gc gnet.Conn) gnet.Action {
	c, ok := gc.Context().(*Conn)
	if !ok {
		return gnet.Close // a connection that was enrolled with a context of its own
	}
	return c.traffic()
}

// OnClose tells the callback.
func (s *Server) OnClose(gc gnet.Conn, err error) gnet.Action {
	if c, ok := gc.Context().(*Conn); ok {
		c.closed(err)
	}
	return gnet.None
}
