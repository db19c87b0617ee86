package websocket

import (
	"crypto/tls"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto"
)

// Server is a WebSocket service: the callbacks and limits that its connections have in common. The
// zero value accepts connections from pages of the same origin and drops every message. A Server
// must not be changed once it is in use. It may be used with several listeners and engines.
//
// The callbacks are called on the loop of their connection, and never two at a time for one
// connection. Connections of different loops are served at the same time. A byte slice that a
// callback gets is valid until the callback returns, and may be modified.
type Server struct {
	// Handshake is called before an opening handshake is accepted, and may refuse it. Open need not
	// follow. So allocate in Open what must be released, or release it by context.AfterFunc with
	// the context of Handshake.Conn, which ends with every connection. It must not wait for
	// anything: see Handshake.Defer. Optional.
	Handshake func(*Handshake)
	// Open is called when the handshake is done. Close follows. Optional.
	Open func(*Conn)
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op Opcode, data []byte)
	// Piece gets large messages instead of Message, piece by piece as they arrive, so that they are
	// not put together. A large message has more than MaxWhole bytes; without Message, every
	// message is large. last marks the last piece of a message, which may be its only one. All
	// pieces of a text together are valid UTF-8, and a piece may end within a character. To stop
	// the peer for a while, call PauseRead of Conn.EngineConn. With Piece, MaxMessage and
	// MaxFragments have no default. Optional.
	Piece func(c *Conn, op Opcode, data []byte, last bool)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called.
	// Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Drained is called when a peer has caught up: what waits for it had exceeded
	// engine.Config.HighWater, and is down to LowWater. See Conn.Send. Optional.
	Drained func(*Conn)
	// Close is called once for each connection that Open was called for, and is the last call. The
	// connection can no longer send. err is a *CloseError if the peer sent a Close frame, a
	// *wsproto.ProtocolError if it broke a rule, or else the engine's reason, such as
	// engine.ErrPeerClosed or engine.ErrIdleTimeout: look for it with errors.Is. See CloseStatus.
	// Optional.
	Close func(c *Conn, err error)

	// Handler serves requests that are not opening handshakes, on the same port: pages, health
	// checks, metrics. If it is nil, they are answered with status 426, and cost no goroutine.
	// Opening handshakes are accepted at every path: see Mux, and Server.Handshake.
	//
	// A connection whose first request is such moves from the engine to a goroutine of net/http,
	// with keep-alive and pipelining. Every request on it must keep the rules of
	// handshake.ParseRequest. One that does not is answered with the status of the rule, and the
	// connection ends; if a body breaks a rule, reading it fails. An opening handshake on such a
	// connection never reaches the Handler: the connection moves back to the engine.
	//
	// On a port with TLS (engine.ListenConfig.Layer) http.Request.TLS is set. If NextProtos of the
	// tls.Config lists "h2", clients may speak HTTP/2. That is net/http's own: the rules of
	// handshake.ParseRequest do not hold for it, nor does HTTPTimeout for the content of a request.
	// A client may have 100 requests at a time on one connection, which counts once for MaxHTTP,
	// and all clients together four for each of MaxHTTP and of MaxHTTPPerAddress. One more than
	// that closes its connection. WebSockets need HTTP/1.1: list "http/1.1" as well.
	//
	// HTTPTimeout bounds how slow a client may be, but not how long a request takes: long downloads
	// and streams of events go on. The next request must follow within IdleTimeout, or within
	// HTTPTimeout if that is negative. When the engine shuts down, idle connections are closed, and
	// requests in progress are cut after two seconds, when their contexts end. A stream of events
	// should end itself before: see engine.Engine.OnShutdown.
	Handler http.Handler

	// HTTPTimeout is how long the head of a request to the Handler may take to arrive. It is also
	// the time within which 4 KiB more of its content must arrive, or 4 KiB more of what the client
	// is sent be taken, if there is so much: unless the Handler sets other deadlines
	// (http.ResponseController). Default: two minutes; negative: no limit.
	HTTPTimeout time.Duration

	// Engine is the engine that ServeHTTP hands connections to. Accept and Upgrade do not use it.
	Engine *engine.Engine

	// Subprotocols are the subprotocols of the server, best first. The first one that the client
	// offers is agreed on.
	Subprotocols []string
	// Origins are the origins of the pages that may connect, besides those of the server's own
	// host, by the Host field, which must be https if the connection has TLS:
	// "https://example.com", "https://*.example.com",
	// "http://localhost:*", or "*" for all. A proxy in front must pass the Host field on: nginx
	// sends its own unless told otherwise. A request without Origin does not come from a browser,
	// and passes: see RFC 6455 section 10.2. Against DNS rebinding, which only a server that asks
	// for no credentials has to fear, set Hosts.
	Origins []string
	// Hosts are the hosts that the server answers to, by the Host field: "example.com" with any
	// port, "localhost:8080", "[::1]". Requests for other ones are refused with status 421, those
	// to the Handler as well. Set it if the server trusts its network, as one on localhost does: a
	// page of any site can have its own name resolved to your address (DNS rebinding), and has the
	// same origin then. With the scheme in front, "https://example.com", pages of
	// http://example.com are foreign to the server; TLS that a proxy terminates is not visible
	// otherwise. Default: all hosts, and both schemes.
	Hosts []string
	// CheckOrigin decides instead of Origins, also for requests without Origin. It is called on the
	// connection's loop, or in Upgrade. Optional.
	CheckOrigin func(*http.Request) bool
	// Refused is called for every opening handshake that is refused, on the connection's loop or in
	// Upgrade. Several goroutines may call it at the same time. Of a callback that panics, which
	// gives status 500 too, only the engine's Logger is told. Default: refusals are logged by
	// slog.Default, one in ten seconds at most, with the number of those since the last one.
	Refused func(Refusal)

	// Limits bound what a peer can make the server hold, and how long it can make it wait.
	Limits
	// MaxHandshakes is how many opening handshakes may be in progress. One more is answered with
	// status 503. Default: 16,384; negative: no limit.
	MaxHandshakes int
	// MaxHandshakesPerAddress is how many of them one client address may have (see
	// engine.Conn.RemotePrefix). All clients behind a proxy are one address, unless Proxies or
	// engine.ListenConfig.Proxy trusts it. Default: a quarter of MaxHandshakes, and no more than
	// are left for others; negative: no limit but MaxHandshakes.
	MaxHandshakesPerAddress int
	// MaxPerAddress is how many open WebSockets of this Server one client address may have. One
	// more is answered with status 429. It costs 128 bytes per connection.
	// engine.ListenConfig.MaxPerAddress costs less, but cannot see clients behind an HTTP proxy.
	// Default: no limit.
	MaxPerAddress int
	// MaxHTTP is how many connections the Handler may have at a time, idle ones included. A request
	// on one more is answered with status 503. Default: 1,024; negative: no limit.
	MaxHTTP int
	// MaxHTTPPerAddress is how many of them one client address may have. A connection that a proxy
	// uses for several clients counts for the first. Default: a quarter of MaxHTTP, and no more
	// than are left for others; negative: no limit but MaxHTTP.
	MaxHTTPPerAddress int

	// Proxies are the HTTP proxies that are trusted to tell the client's address. It is the one
	// that limits count by, and that Conn.RemoteAddr and Refusal have; for http.Requests see
	// ClientAddr. Default: nobody is trusted, and the client is the peer.
	Proxies *Proxies

	// Rate limits how fast a peer may send messages. Default: no limit.
	Rate *Rate

	// Compression switches permessage-deflate on. It is off if nil: see there why.
	Compression *Compression

	// Handover lets connections move to another process. If it is nil, only those move whose
	// opening handshake has not come whole.
	Handover *Handover

	once       sync.Once
	err        error // of Check
	services   services
	mux        *Mux                   // nil unless s is the front of one
	at         atomic.Pointer[string] // its path in a Mux
	refusals   refusalLog
	mistakes   refusalLog // answered with status 500
	handshakes quota.Limiter
	open       quota.Limiter // of WebSockets, for MaxPerAddress
	web        web
}

const (
	defaultMaxHandshakes = 16384
	defaultMaxHTTP       = 1024
)

// prepare derives what connections share, once. It returns the service for no subprotocol, or the
// error of Check.
func (s *Server) prepare() (*service, error) {
	s.once.Do(func() {
		s.err = s.Check()
		s.services = newServices(service{
			server: s, message: s.Message, piece: s.Piece, ping: s.Ping, pong: s.Pong,
			drained: s.Drained, close: s.Close, compression: s.Compression, rate: s.Rate,
		}, wsproto.Server, s.Limits, s.Subprotocols)
		setQuota(&s.handshakes, s.MaxHandshakes, defaultMaxHandshakes, s.MaxHandshakesPerAddress)
		s.open.MaxPerClient = max(s.MaxPerAddress, 0)
		setQuota(&s.web.open, s.MaxHTTP, defaultMaxHTTP, s.MaxHTTPPerAddress)
		setHTTP2Quota(&s.web.requests, &s.web.open)
	})
	return &s.services[0], s.err
}

// setQuota sets a limit for all clients together, and one for each: by default a quarter of it, and
// no more than are left for others. 0: no limit.
func setQuota(l *quota.Limiter, limit, otherwise, perAddress int) {
	l.Max, l.MaxPerClient = max(or(limit, otherwise), 0), max(perAddress, 0)
	if l.Max > 0 && perAddress == 0 {
		l.MaxPerClient = max(l.Max/4, 1)
		l.Fair = l.Max > 1
	}
}

// Accept returns the Protocol of a new connection. It is the function to give to
// engine.Engine.Listen. A function that calls it must return its result, because the connection
// counts for MaxHandshakes from now on: turn connections away before. It panics if Check returns an
// error.
func (s *Server) Accept(c *engine.Conn) engine.Protocol {
	ws := s.accept(c)
	if s.Handler != nil {
		s.web.once.Do(func() { s.web.giveAway = (*Conn).giveAway })
		ws.flags |= toHandler
		if ws.isHTTP2() {
			if err := ws.giveAway(); err != nil {
				ws.refuseAtOnce(err)
			}
		}
	} else {
		ws.refuseHTTP2()
	}
	return (*protocol)(ws)
}

// AcceptWebSocket is Accept without the Handler: requests that are not opening handshakes are
// answered with status 426, even if there is one. A program that uses AcceptWebSocket instead of
// Accept is linked without net/http's server and crypto/tls: it is 3 MB smaller, and takes 1 MiB
// less memory.
func (s *Server) AcceptWebSocket(c *engine.Conn) engine.Protocol {
	ws := s.accept(c)
	ws.refuseHTTP2()
	return (*protocol)(ws)
}

// refuseHTTP2 ends a connection whose client will speak HTTP/2, which only a Handler understands.
func (c *Conn) refuseHTTP2() {
	if c.isHTTP2() {
		c.refuseAtOnce(errHTTP2)
	}
}

// refuseAtOnce refuses a connection in Accept, where it is counted already.
func (c *Conn) refuseAtOnce(err error) {
	c.conn.SetProtocol((*protocol)(c)) // whose Closed ends the handshake, also if Refused panics
	c.conn.CloseWith(c.refuse(nil, err))
}

func (s *Server) accept(c *engine.Conn) *Conn {
	service, err := s.prepare()
	if err != nil {
		panic(err)
	}
	remote := c.RemoteAddr()
	ws := &Conn{conn: c, service: service, remote: remoteOf(remote)}
	c.SetTimeout(ws.service.receive.HandshakeTimeout)
	var count *quota.Client
	if s.Proxies.Trusts(remote) {
		ws.flags = forwarded
		err = s.handshakes.Reserve()
	} else {
		count, err = s.handshakes.Acquire(quota.Prefix(remote.Addr()))
	}
	if err != nil {
		c.CloseWith(ws.refuse(nil, errBusy))
		return ws
	}
	ws.flags |= inHandshake
	if count != nil {
		ws.makeRare().handshake = count
	}
	switch state := c.LayerState().(type) {
	case *tls.ConnectionState:
		ws.makeRare().tls = state
		ws.countTLS()
	case interface{ Partial() *tls.ConnectionState }: // the peer has sent something before
		ws.makeRare().tls = state.Partial()
	}
	return ws
}
