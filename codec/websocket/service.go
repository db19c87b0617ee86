package websocket

import (
	"math"
	"sync/atomic"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Opcode tells text messages from binary ones.
type Opcode = wsproto.Opcode

// The opcodes of messages.
const (
	Text   = wsproto.Text
	Binary = wsproto.Binary
)

// Limits bound what a peer can make a Server or a Client hold, and how long it can make it wait. In
// each of them 0 is the default, and a negative value switches the limit off. Its fields are those
// of wsproto.Limits.
type Limits = wsproto.Limits

// service is what the connections of a Server or a Client share that have agreed on the same
// subprotocol, with the defaults filled in.
type service struct {
	server      *Server // nil: a Client's
	subprotocol string
	stream      *Stream // which has it alone; nil: there is none

	message    func(c *Conn, op Opcode, data []byte)
	piece      func(c *Conn, op Opcode, data []byte, last bool)
	ping, pong func(c *Conn, data []byte)
	drained    func(c *Conn)
	close      func(c *Conn, err error)

	receive     wsproto.Config // has the Limits
	head        *wsproto.Limits
	senders     *senders
	compression *Compression
	rate        *Rate
	windows     *atomic.Int64 // bytes of all connections' windows
}

// services are those of a Server or a Client: the first one is for no subprotocol.
type services []service

// newServices makes as many as there are subprotocols, and one more.
func newServices(s service, role wsproto.Role, l Limits, subprotocols []string) services {
	s.windows = new(atomic.Int64)
	s.prepare(role, l)
	all := services{s}
	for _, name := range subprotocols {
		s.subprotocol = name
		all = append(all, s)
	}
	return all
}

// of returns the service for a subprotocol, nil if there is none.
func (all services) of(subprotocol string) *service {
	for i := range all {
		if all[i].subprotocol == subprotocol {
			return &all[i]
		}
	}
	return nil
}

// speaking returns the service of the same Server for a subprotocol.
func (s *service) speaking(subprotocol string) *service {
	if to := s.server.services.of(subprotocol); to != nil {
		return to
	}
	own := *s // a client may make up as many names as it likes, so nothing else keeps them
	own.subprotocol = subprotocol
	return &own
}

// prepare fills in defaults and derives what depends on them.
func (s *service) prepare(role wsproto.Role, l Limits) {
	s.receive.Role = role
	if piece := s.piece; piece != nil {
		s.receive.Stream = true
		l.MaxMessage, l.MaxFragments = or(l.MaxMessage, -1), or(l.MaxFragments, -1)
		if s.message == nil {
			l.MaxWhole = -1
		}
		if l.MaxWhole < 0 { // what is delivered whole then is empty
			s.message = func(c *Conn, op Opcode, data []byte) { piece(c, op, data, true) }
		}
	}
	if s.rate != nil {
		s.limited(s.rate)
	}
	l = l.WithDefaults()
	s.receive.Limits = l
	s.head = &s.receive.Limits
	if s.compression != nil {
		s.receive.Compressor, s.receive.InflateStep = deflate.New(*s.compression), inflateStep
	}
	made := makeSenders(&s.receive)
	s.senders = &made
}

// bound returns a limit that is switched off if it is negative. net/http adds to it.
func bound(limit int) int {
	if limit < 0 {
		return math.MaxInt32
	}
	return min(limit, math.MaxInt32)
}

// or returns v, or the default where v is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
