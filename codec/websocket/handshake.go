package websocket

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Handshake is an opening handshake that the server would accept. It is valid during the callback.
type Handshake struct {
	// Request is the client's request: method, path, query, header fields.
	Request *handshake.Request
	// Conn is the connection; it cannot send yet, but Value may be set.
	Conn *Conn
	// Subprotocol is the one that was agreed on, "" for none. It may be replaced by another one of Server.Subprotocols
	// that the client offers, or by "".
	Subprotocol string
	// HTTP is what Upgrade was given, for what routers and middleware have added to it: PathValue, the values of its Context. Its
	// body must not be read, and its context may have ended. nil if the connection was not Upgrade's.
	HTTP *http.Request
	// NoCompression declines compression, whatever Server.Compression says.
	NoCompression bool
	// Header is for further fields of the response.
	Header []handshake.Field

	status int
	body   string
}

// Refuse refuses the handshake with an HTTP status from 300 to 599, a short text, and Upgrade.Header.
func (u *Handshake) Refuse(status int, text string) { u.status, u.body = status, text }

// opening is what one handshake needs while it is looked at, which is during one Feed: it is pooled.
type opening struct {
	request handshake.Request
	upgrade Handshake
}

var openings = sync.Pool{New: func() any { return new(opening) }}

// release forgets the connection, and keeps the memory.
func (o *opening) release() {
	clear(o.upgrade.Header)
	*o = opening{upgrade: Handshake{Header: o.upgrade.Header[:0]}}
	openings.Put(o)
}

// errRefused is the reason of a connection that ended with an HTTP response: nobody's fault, and nobody is told.
var errRefused error = answered{}

type answered struct{}

func (answered) Error() string       { return "websocket: request answered without a WebSocket" }
func (answered) Cause() engine.Cause { return engine.CauseClose }

var errTimeout = &handshake.Error{Status: 408, Section: "RFC 9110 section 15.5.9", Text: "no request within the time for it"}

var errBusy = &handshake.Error{Status: 503, Section: "RFC 9110 section 15.6.4", Text: "over the limit of handshakes in progress"}

// handshake takes the request and answers it. Frames that came with it stay in src.
func (c *Conn) handshake(src []byte) (n int, err error) {
	o := openings.Get().(*opening)
	defer o.release()
	n, err = handshake.ParseRequest(src, &c.meter, &o.request, c.service.server.limits)
	if err != nil {
		return len(src), c.refuse(err)
	}
	if n == 0 {
		return 0, nil
	}
	if !o.request.IsUpgrade() {
		return c.answerHTTP(src, &o.request)
	}
	key, subprotocol, err := c.service.server.check(&o.request)
	if err != nil {
		return len(src), c.refuse(err)
	}
	c.subprotocol = int8(subprotocol)
	return n, c.accept(o, key)
}

// check is everything that the protocol and the server's policy demand of a handshake. subprotocol is an index in
// Server.Subprotocols, -1 for none.
func (s *Server) check(r *handshake.Request) (key []byte, subprotocol int, err error) {
	if key, err = r.CheckUpgrade(); err != nil {
		return nil, -1, err
	}
	if err = r.CheckOrigin(s.Origins); err != nil {
		return nil, -1, err
	}
	subprotocol, err = r.Subprotocol(s.Subprotocols)
	return key, subprotocol, err
}

// accept asks the user, then answers.
func (c *Conn) accept(o *opening, key []byte) error {
	s := c.service.server
	u := &o.upgrade
	*u = Handshake{Request: &o.request, Conn: c, Subprotocol: c.Subprotocol(), Header: u.Header}
	if c.rare != nil && c.rare.upgraded != nil {
		u.HTTP, u.Header = c.rare.upgraded.request, append(u.Header, c.rare.upgraded.header...)
		c.rare.upgraded = nil
	}
	if s.Handshake != nil {
		s.Handshake(u)
	}
	if u.status != 0 {
		return c.answer(u.status, u.Header, u.body, true)
	}
	if err := c.agree(&o.request, u.Subprotocol); err != nil {
		return c.refuse(err)
	}
	var deflate *wsproto.Deflate
	if s.Compression != nil && !u.NoCompression {
		if d, ok := o.request.Deflate(c.service.policy()); ok {
			deflate = &d
		}
	}
	b, err := handshake.AppendResponse(c.conn.AvailableBuffer(), key, u.Subprotocol, deflate, u.Header)
	if err != nil {
		return c.refuse(err)
	}
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	c.open(deflate)
	if s.Open != nil {
		s.Open(c)
	}
	return nil
}

// agree notes which of the server's subprotocols it is. The client must have offered it.
func (c *Conn) agree(r *handshake.Request, name string) error {
	if name == c.Subprotocol() {
		return nil
	}
	if c.subprotocol = int8(slices.Index(c.service.server.Subprotocols, name)); name == "" {
		return nil
	}
	if offered, _ := r.Subprotocol([]string{name}); offered < 0 || c.subprotocol < 0 {
		return fmt.Errorf("websocket: Upgrade chose subprotocol %q, which is not in Server.Subprotocols or was not offered", name)
	}
	return nil
}

// refuse answers a request that broke a rule, and reports err as the reason. What the client pipelined is dropped.
func (c *Conn) refuse(err error) error {
	status, text := nethttp.Status(err)
	c.answer(status, nil, text, true)
	return err
}

// answerHTTP answers a request that is no opening handshake, or gives it away, with the connection.
func (c *Conn) answerHTTP(src []byte, r *handshake.Request) (n int, err error) {
	status, text := 426, "this is a WebSocket server\n"
	if c.flags&toHandler != 0 {
		if err = c.service.server.web.giveAway(c); err == nil {
			return 0, nil
		}
		status, text = nethttp.Status(err)
	}
	return len(src), c.answer(status, nil, text, string(r.Method) != "HEAD")
}

// answer writes a response and has the engine close the connection behind it.
func (c *Conn) answer(status int, header []handshake.Field, text string, withText bool) error {
	b, err := handshake.AppendHTTP(c.conn.AvailableBuffer(), status, header, text, withText)
	if err != nil {
		b, _ = handshake.AppendHTTP(b, 500, nil, "", true)
	} else {
		err = errRefused
	}
	if _, werr := c.conn.Write(b); werr != nil && !errors.Is(werr, engine.ErrClosed) {
		return werr
	}
	return err
}
