package tlslayer

import (
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/engine/tlslayer/certs"
)

// Config is how connections use TLS. Only TLS is required.
type Config struct {
	// TLS is the configuration of crypto/tls. It is used as it is, with all its callbacks. They are
	// called by other goroutines than the loop's, several at a time, and may block; only Rand and
	// Time are used on loops too, and must not. It must not be changed afterwards, except by its
	// SetSessionTicketKeys. Renegotiation is never done.
	TLS *tls.Config
	// StandardRecords leaves the records of all connections to crypto/tls. It costs memory and CPU.
	// Default: only where this package cannot do them.
	StandardRecords bool
	// HandshakeTimeout limits a handshake. Default: 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes limits the handshakes in progress, which take about 30 KiB each. Eight times as
	// many wait; then the oldest is dropped. One that waits for its peer is dropped instead if that
	// client has more handshakes than the one that is to begin, or takes long. Default: 512.
	MaxHandshakes int
	// MaxHandshakesPerAddress limits those that clients of one address have begun, computing or
	// not: see engine/quota for what one address is. More are closed at once. All clients behind a
	// proxy are one address, unless engine.ListenConfig.Proxy trusts it. Default: half of
	// MaxHandshakes; negative: no limit.
	MaxHandshakesPerAddress int
	// MaxHandshakeBytes limits what all handshakes in progress have received, which they may keep.
	// Above it the largest handshake of the client that has sent most is dropped, or, if none has
	// sent more than is needed, the oldest whose ClientHello is not whole. Default: 12 MiB, which
	// is more than all take by default whose ClientHello is, with 2 KiB each.
	MaxHandshakeBytes int
	// Processors is how many handshakes may compute at a time, so that they leave some of the
	// machine to connections that are established. One that waits in a callback of TLS does not
	// count. One that waits for the key of a certificate, such as a key in another machine, does.
	// Default: half of GOMAXPROCS, at least 1.
	Processors int
	// Logger gets what no caller can be told: a self-test that has failed, and handshakes with
	// clients that fail, at most one in ten seconds, with the number of those that were not logged.
	// What peers that say nothing or no TLS cause is logged at level debug, and a panic of a
	// callback of TLS at level error, at most once per second. Any goroutine calls it. Default:
	// slog.Default().
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.MaxHandshakes <= 0 {
		c.MaxHandshakes = 512
	}
	if c.MaxHandshakesPerAddress == 0 {
		c.MaxHandshakesPerAddress = max(1, c.MaxHandshakes/2)
	}
	if c.MaxHandshakeBytes <= 0 {
		c.MaxHandshakeBytes = 12 << 20
	}
	if c.Processors <= 0 {
		c.Processors = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Layer is TLS for the connections of Listeners. Its methods may be called from any goroutine.
type Layer struct {
	config Config
	base   *tls.Config // what every server's tls.Conn begins with: it has the ticket keys
	level1 bool        // for all connections
	pool   pool
	shares quota.Limiter // of clients in the handshakes in progress
	held   heldBytes
	stats  counters

	failures failures
	tickets  ticketKeys
	sessions tls.ClientSessionCache // of clients; nil: none
}

// New returns a Layer. The first call of a process takes some milliseconds for a self-test. If that
// fails, crypto/tls does the records, and it is logged.
func New(c Config) (*Layer, error) {
	if c.TLS == nil {
		return nil, errors.New("tlslayer: Config.TLS is nil")
	}
	l := newLayer(c)
	if !l.level1 {
		if err := selfTested(); err != nil {
			l.config.Logger.Error("tlslayer: self-test failed, crypto/tls does the records", "error", err)
			l.level1 = true
		}
	}
	return l, nil
}

// newLayer is New without the self-test.
func newLayer(c Config) *Layer {
	c.setDefaults()
	l := &Layer{config: c, level1: c.StandardRecords || fips140.Enabled()}
	l.pool.turns, l.pool.limit = c.Processors, c.MaxHandshakes
	l.shares.MaxPerClient = max(0, c.MaxHandshakesPerAddress)
	l.held.limit = c.MaxHandshakeBytes
	l.base = c.TLS.Clone()
	l.base.GetConfigForClient = l.configForClient
	if l.base.GetEncryptedClientHelloKeys != nil {
		l.base.GetEncryptedClientHelloKeys = l.keysForClient
	}
	l.sessions = newSessionCache(c.TLS.ClientSessionCache, c.Logger)
	return l
}

var selfTested = sync.OnceValue(selfTest)

// configForClient is the GetConfigForClient of base. The tls.Conn of each connection begins with
// the same Config, so that all use the same ticket keys, and goes on with a clone of the user's
// that logs the keys of this connection. If that has keys of tickets, they come first.
func (l *Layer) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	h := hello.Conn.(*wire).handshake
	h.serverName = hello.ServerName
	l.tickets.rotate(l.base, time.Now())
	c := l.config.TLS
	if c.GetConfigForClient != nil {
		l.pool.leave(h)
		chosen, err := c.GetConfigForClient(hello)
		l.pool.again(h)
		if err != nil {
			return nil, err
		}
		if chosen != nil {
			c = chosen
		}
	}
	return h.logged(c), nil
}

// logged returns a clone of c for one handshake.
func (h *handshake) logged(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.Renegotiation = tls.RenegotiateNever
	c.ClientSessionCache = h.layer.sessions
	if !h.layer.level1 {
		c.KeyLogWriter = &keyLog{&h.keys, c.KeyLogWriter}
	}
	h.leaveTurnIn(c)
	return c
}

// result returns the record layer of a handshake that has succeeded.
func (h *handshake) result(info tls.ConnectionState) layer.Stream {
	s := &standard{conn: h.conn, wire: h.wire, version: info.Version, state: certs.Held(&info)}
	h.wire.handshake = nil
	if h.layer.level1 {
		return s
	}
	r := h.keys.records(&info)
	if r == nil {
		return s
	}
	c := h.layer.config.TLS
	if h.keys.client && info.Version == tls.VersionTLS13 && c.ClientSessionCache != nil && !c.SessionTicketsDisabled {
		r.extra = &extra{tickets: s}
	}
	return r
}
