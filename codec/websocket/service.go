package websocket

import (
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Opcode tells text from binary messages.
type Opcode = wsproto.Opcode

// The opcodes of messages.
const (
	Text   = wsproto.Text
	Binary = wsproto.Binary
)

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4).
type CloseCode = wsproto.CloseCode

// Defaults of a Server and a Client.
const (
	DefaultMaxMessage       = 1 << 20
	DefaultMaxWhole         = 16 << 10
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultIdleTimeout      = 60 * time.Second
	DefaultCloseTimeout     = 3 * time.Second
	DefaultProgressTimeout  = 30 * time.Second
	DefaultControlRate      = 100
	DefaultMaxHandshakes    = 16384
)

// service is what the connections of a Server or a Client share, with the defaults filled in.
type service struct {
	server      *Server // nil: a Client's
	session     wsproto.Config
	piece       func(c *Conn, op Opcode, data []byte, last bool)
	message     func(c *Conn, op Opcode, data []byte)
	ping, pong  func(c *Conn, data []byte)
	close       func(c *Conn, err error)
	drained     func(c *Conn)
	controlRate int

	idleTimeout, pongTimeout, closeTimeout, progressTimeout time.Duration

	compression  *Compression
	subprotocols []string
	windows      atomic.Int64 // bytes of all connections' windows
}

// prepare fills in defaults and derives what depends on them.
func (s *service) prepare(role wsproto.Role, maxMessage int) {
	s.session.Role = role
	s.session.MaxMessage = max(maxMessage, 0)
	switch piece := s.piece; {
	case piece == nil:
		if maxMessage <= 0 {
			s.session.MaxMessage = DefaultMaxMessage
		}
	case s.message == nil: // what is delivered whole then is empty
		s.session.Stream, s.session.MaxWhole = true, -1
		s.message = func(c *Conn, op Opcode, data []byte) { piece(c, op, data, true) }
	default:
		s.session.Stream, s.session.MaxWhole = true, or(s.session.MaxWhole, DefaultMaxWhole)
	}
	s.idleTimeout = or(s.idleTimeout, DefaultIdleTimeout)
	s.pongTimeout = or(s.pongTimeout, s.idleTimeout)
	s.closeTimeout = or(s.closeTimeout, DefaultCloseTimeout)
	s.progressTimeout = or(s.progressTimeout, DefaultProgressTimeout)
	s.controlRate = or(s.controlRate, DefaultControlRate)
	if s.compression != nil {
		c := s.compression.WithDefaults()
		s.compression = &c
		s.session.Compressor = deflate.New(c)
	}
}

// or is v, or the default where v is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
