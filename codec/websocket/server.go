package websocket

import (
	"net/http"
	"sync"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto"
)

// Server is what the connections of one service have in common: callbacks and limits. The zero value is a server that
// accepts same-origin connections and drops every message. A Server must not be changed once it is in use, and may be
// used with several listeners and engines.
//
// The callbacks are called on the connection's loop, never two of one connection at the same time; those of different
// connections run on different loops at the same time. A byte slice that a callback gets is valid until it returns, and
// may be modified.
type Server struct {
	// Handshake is called before an opening handshake is accepted, and may refuse it. Open need not follow:
	// what is made here and must be released belongs in Open, or to context.AfterFunc with the context of
	// Handshake.Conn, which hears of every end. Optional.
	Handshake func(*Handshake)
	// Open is called when the handshake is done. Close follows. Optional.
	Open func(*Conn)
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op Opcode, data []byte)
	// Piece, if it is set, gets large messages in the place of Message, piece by piece, as they come: they are not put together, and
	// whoever cannot take more for now calls PauseRead of Conn.EngineConn. Large is what has more than MaxWhole bytes; without Message it is
	// every message. last says that the message ends with this piece, which may be the only one. Pieces of a text are valid UTF-8
	// together, and may end within a character. There is no default of MaxMessage and MaxFragments then. Optional.
	Piece func(c *Conn, op Opcode, data []byte, last bool)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called. Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Drained is called when a peer has caught up: when what waits for it, once over engine.Config.HighWater, is down to
	// LowWater. See Conn.Send. Optional.
	Drained func(*Conn)
	// Close is called once for each connection that Open was called for, and is the last call: the connection can no
	// longer send. err is a *CloseError if the peer sent a Close frame, a *wsproto.ProtocolError if it broke a rule, or
	// else the engine's reason, such as engine.ErrPeerClosed or engine.ErrIdleTimeout. Optional.
	Close func(c *Conn, err error)

	// Handler serves requests that are no opening handshake, on the same port: pages, health checks, metrics. nil: they are
	// answered with status 426, and cost no goroutine. See MaxHTTP.
	//
	// A connection whose first request is such leaves the engine for a goroutine of net/http, with keep-alive and pipelining.
	// Every request on it keeps the rules of handshake.ParseRequest, or is answered with the status that they name, as the last
	// one; where a body breaks a rule, reading it fails. An opening handshake that comes
	// on it is the engine's again, and never the Handler's. A request must have come, and its answer be taken, within
	// two minutes each, unless the Handler sets other deadlines (http.ResponseController). The next one must follow within
	// IdleTimeout (two minutes if that is negative). When the engine shuts down, idle connections are closed, and requests in
	// progress have two seconds before their contexts end.
	Handler http.Handler

	// Engine is the engine that ServeHTTP takes connections over to. Accept and Upgrade do not need it.
	Engine *engine.Engine

	// Subprotocols are what the server speaks, best first; the first that the client offers is agreed on.
	Subprotocols []string
	// Origins are the origins that browsers may come from: "https://example.com", "https://*.example.com", or "*" for
	// all. Empty: only the server's own, by the Host field. Requests without Origin are not from a browser: see RFC 6455
	// section 10.2.
	Origins []string
	// CheckOrigin, if it is set, decides instead of Origins, for requests without Origin as well. It is
	// called on the connection's loop, or in Upgrade.
	CheckOrigin func(*http.Request) bool
	// Refused is called for every opening handshake that is refused. It is called on the connection's
	// loop, or in Upgrade, by several goroutines at the same time. Default: refusals are logged by
	// slog.Default, no more than one in ten seconds, with the number of those since.
	Refused func(Refusal)

	// Limits bound what a peer can make the server hold, and how long it can make it wait.
	Limits
	// MaxHandshakes is how many opening handshakes may be in progress. A further one is answered with
	// status 503. A quarter of it is what one remote address may have (engine.Conn.RemotePrefix).
	// Default: 16,384; negative: no limit.
	MaxHandshakes int
	// MaxHTTP is how many connections the Handler may have at a time, idle ones included. Requests on
	// further ones are answered with status 503. A quarter of it is what one remote address may have.
	// Default: 1,024; negative: no limit.
	MaxHTTP int

	// Compression switches permessage-deflate on. nil: off, see there why.
	Compression *Compression

	once       sync.Once
	err        error // of Check
	services   services
	mux        *Mux // that s is the front of
	refusals   refusalLog
	handshakes quota.Limiter
	web        web
}

const (
	defaultMaxHandshakes = 16384
	defaultMaxHTTP       = 1024
)

// prepare derives what connections share, once. It returns the service for no subprotocol, or the error
// of Check.
func (s *Server) prepare() (*service, error) {
	s.once.Do(func() {
		s.err = s.Check()
		s.services = newServices(service{
			server: s, message: s.Message, piece: s.Piece, ping: s.Ping, pong: s.Pong, drained: s.Drained, close: s.Close,
			compression: s.Compression,
		}, wsproto.Server, s.Limits, s.Subprotocols)
		s.handshakes.Max, s.handshakes.MaxPerClient = quotas(s.MaxHandshakes, defaultMaxHandshakes)
		s.web.open.Max, s.web.open.MaxPerClient = quotas(s.MaxHTTP, defaultMaxHTTP)
	})
	return &s.services[0], s.err
}

// quotas returns a limit for all clients together, and one for each: a quarter of it. 0: no limit.
func quotas(limit, otherwise int) (all, each int) {
	if all = or(limit, otherwise); all < 0 {
		return 0, 0
	}
	return all, max(all/4, 1)
}

// Accept makes the Protocol of a new connection: it is the function to give to engine.Engine.Listen.
func (s *Server) Accept(c *engine.Conn) engine.Protocol {
	ws := s.accept(c)
	if s.Handler != nil {
		s.web.once.Do(func() { s.web.giveAway = (*Conn).giveAway })
		ws.flags |= toHandler
	}
	return (*protocol)(ws)
}

// AcceptWebSocket is Accept without the Handler: requests that are no opening handshake are answered with status 426, even if there
// is one. A program that calls only this one is linked without net/http's server and what that needs, crypto/tls for one: it is 3 MB
// smaller, and 1 MiB in memory.
func (s *Server) AcceptWebSocket(c *engine.Conn) engine.Protocol { return (*protocol)(s.accept(c)) }

func (s *Server) accept(c *engine.Conn) *Conn {
	service, err := s.prepare()
	if err != nil {
		panic(err)
	}
	remote := c.RemoteAddr()
	ws := &Conn{conn: c, service: service, remote: remoteOf(remote)}
	c.SetTimeout(ws.service.receive.HandshakeTimeout)
	count, err := s.handshakes.Acquire(quota.Prefix(remote.Addr()))
	if err != nil {
		c.CloseWith(ws.refuse(nil, errBusy))
		return ws
	}
	ws.flags = inHandshake
	if count != nil {
		ws.makeRare().handshake = count
	}
	return ws
}
