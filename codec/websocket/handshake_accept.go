package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// errRefused is the reason of a connection that ended with an HTTP response: nobody's fault, and
// nobody is told.
var errRefused error = answered{}

type answered struct{}

func (answered) Error() string       { return "websocket: request answered without a WebSocket" }
func (answered) Cause() engine.Cause { return engine.CauseClose }

var (
	errTimeout  = reject(408, "RFC 9110 section 15.5.9", "no request within the time for it")
	errBusy     = reject(503, "RFC 9110 section 15.6.4", "over the limit of handshakes in progress")
	errManyOpen = reject(429, "RFC 6585 section 4", "over the limit of WebSockets per address")
	errManyHTTP = reject(503, "RFC 9110 section 15.6.4", "over the limit of HTTP connections")
	errIdle     = reject(503, "RFC 9110 section 15.6.4", "the server has not started")
	errEnded    = reject(503, "RFC 9110 section 15.6.4", "the server is shutting down")
	errHTTP2    = reject(505, "RFC 9110 section 15.6.6", "HTTP/2, which needs a Handler; or leave h2 out of NextProtos")
	errNoServer = reject(404, "RFC 9110 section 15.5.5", "no WebSocket at this path")
	errOrigin   = reject(403, "RFC 6455 section 10.2", "CheckOrigin does not allow the origin")
)

func reject(status int, section, text string) error {
	return &handshake.Error{Status: status, Section: section, Text: text}
}

// handshake takes the request and answers it. Frames that came with it stay in src.
func (c *Conn) handshake(src []byte) (n int, err error) {
	o := openings.Get().(*opening)
	defer o.release()
	var scanned uint32
	if c.rare != nil {
		scanned = c.rare.scanned
	}
	n, err = handshake.ParseRequest(src, &scanned, &o.request, c.service.head)
	if err != nil {
		return len(src), c.refuse(nil, err)
	}
	if n == 0 {
		c.makeRare().scanned = scanned
		return 0, nil
	}
	o.request.Secure = c.tlsState() != nil
	if c.flags&forwarded != 0 {
		if err := c.identify(&o.request); err != nil {
			return len(src), c.refuse(&o.request, err)
		}
	}
	if !o.request.IsUpgrade() {
		return c.answerHTTP(src, &o.request)
	}
	if m := c.service.server.mux; m != nil {
		if err := o.request.CheckHost(m.Hosts); err != nil {
			return len(src), c.refuse(&o.request, err)
		}
		s := m.server(o.request.Path)
		if s == nil {
			return c.answerNobodys(src, &o.request)
		}
		c.makeRare().front = c.service.server
		c.service, _ = s.prepare() // Mux.Check has found no error
	}
	if err := c.accept(o, src[:n]); err != nil {
		return len(src), err
	}
	return n, nil
}

// judge checks a handshake against the protocol. subprotocol is an index in Server.Subprotocols, -1
// for none.
func (s *Server) judge(r *handshake.Request) (key []byte, subprotocol int, err error) {
	if key, err = r.CheckUpgrade(); err != nil {
		return nil, -1, err
	}
	if err = r.CheckHost(s.Hosts); err != nil {
		return nil, -1, err
	}
	subprotocol, err = r.Subprotocol(s.Subprotocols)
	return key, subprotocol, err
}

// accept checks a handshake, asks the callback, then answers. head is the request.
func (c *Conn) accept(o *opening, head []byte) error {
	s := c.service.server
	key, subprotocol, err := s.judge(&o.request)
	if err != nil {
		return c.refuse(&o.request, err)
	}
	c.service = &s.services[1+subprotocol]
	h := o.use(s.Handshake != nil)
	*h = Handshake{Raw: &o.request, Conn: c, Subprotocol: c.Subprotocol()}
	if c.rare != nil && c.rare.upgraded != nil { // Upgrade has checked the origin
		h.request, h.header = ofConn(c.rare.upgraded.request, c), c.rare.upgraded.header
		if c.rare.upgraded = nil; c.rare.empty() {
			c.freeRare()
		}
	} else if err := s.checkOrigin(&o.request, h.Request); err != nil {
		return c.refuse(&o.request, err)
	}
	if s.Handshake != nil {
		s.Handshake(h)
		if h.deferred != nil {
			head = bytes.Clone(head)
		}
	}
	return c.conclude(o, key, head)
}

// conclude answers a handshake as the callback has decided, or keeps it until that is done.
func (c *Conn) conclude(o *opening, key, head []byte) error {
	s, h := c.service.server, o.handshake
	var further []handshake.Field
	if h.header != nil {
		further = nethttp.Fields(h.header)
	}
	if h.refused {
		return c.refuseByCallback(o, further)
	}
	if h.deferred != nil {
		c.putOff(o, head)
		return nil
	}
	if move, err := c.mustMove(h); err != nil {
		return c.refuse(&o.request, err)
	} else if move {
		return c.moveTo(h, head)
	}
	further = slices.DeleteFunc(further, func(f handshake.Field) bool {
		return strings.EqualFold(f.Name, "Content-Type")
	})
	if err := c.agree(&o.request, h.Subprotocol); err != nil {
		return c.refuse(&o.request, err)
	}
	var deflate *wsproto.Deflate
	if s.Compression != nil && !h.NoCompression {
		if d, ok := o.request.Deflate(c.service.policy()); ok {
			deflate = &d
		}
	}
	b, err := handshake.AppendResponse(c.conn.AvailableBuffer(), key, h.Subprotocol, deflate, further)
	if err != nil {
		return c.refuse(&o.request, err)
	}
	place, err := s.open.Acquire(quota.Prefix(c.RemoteAddr().Addr()))
	if err != nil {
		return c.refuse(&o.request, errManyOpen)
	}
	if _, err := c.conn.Write(b); err != nil {
		s.open.Release(place)
		return err
	}
	c.open(deflate)
	if place != nil {
		c.makeRare().place = place
	}
	if s.Open != nil {
		s.Open(c)
	}
	return nil
}

// agree notes which subprotocol the callback has chosen. The client must have offered it.
func (c *Conn) agree(r *handshake.Request, name string) error {
	if name == c.Subprotocol() {
		return nil
	}
	if name != "" {
		if offered, _ := r.Subprotocol([]string{name}); offered < 0 {
			return fmt.Errorf("websocket: Handshake.Subprotocol is %q, which the client does not offer", name)
		}
	}
	c.service = c.service.speaking(name)
	return nil
}

// refuseByCallback answers as Handshake.Refuse has asked.
func (c *Conn) refuseByCallback(o *opening, further []handshake.Field) error {
	h := o.handshake
	if h.status < 300 || h.status > 599 {
		return c.refuse(&o.request,
			fmt.Errorf("websocket: Handshake.Refuse with status %d, not from 300 to 599", h.status))
	}
	// Not into AvailableBuffer: Refused may use that.
	b, err := handshake.AppendHTTP(nil, h.status, further, h.body, true)
	if err != nil {
		return c.refuse(&o.request, err)
	}
	c.service.server.refused(c.RemoteAddr(), &o.request, h.status, errByCallback(h.body))
	return c.writeLast(b)
}

// refuse answers a request that broke a rule, and returns err as the reason. What the client
// pipelined is dropped. r may be nil.
func (c *Conn) refuse(r *handshake.Request, err error) error {
	status, text := nethttp.Status(err)
	c.service.server.refused(c.RemoteAddr(), r, status, err)
	c.answer(status, text, r == nil || string(r.Method) != "HEAD")
	return err
}

// answerHTTP answers a request that is not an opening handshake, or hands it to the Handler, with
// the connection.
func (c *Conn) answerHTTP(src []byte, r *handshake.Request) (n int, err error) {
	status, text := 426, "this is a WebSocket server\n"
	if c.flags&toHandler != 0 {
		if err = c.service.server.web.giveAway(c); err == nil {
			return 0, nil
		}
		status, text = nethttp.Status(err)
	}
	return len(src), c.answer(status, text, string(r.Method) != "HEAD")
}

// answerNobodys hands a handshake to the Handler of a Mux that has no Server for its path, or
// refuses it.
func (c *Conn) answerNobodys(src []byte, r *handshake.Request) (n int, err error) {
	err = errNoServer
	if c.flags&toHandler != 0 {
		if err = c.service.server.web.giveAway(c); err == nil {
			return 0, nil
		}
	}
	return len(src), c.refuse(r, err)
}

// answer writes a response. The error that it returns makes the engine close the connection behind
// it.
func (c *Conn) answer(status int, text string, withText bool) error {
	b, err := handshake.AppendHTTP(c.conn.AvailableBuffer(), status, nil, text, withText)
	if err != nil {
		return err
	}
	return c.writeLast(b)
}

// writeLast writes a response behind which the engine closes the connection, because of the error
// that it returns.
func (c *Conn) writeLast(response []byte) error {
	if _, err := c.conn.Write(response); err != nil && !errors.Is(err, engine.ErrClosed) {
		return err
	}
	return errRefused
}
