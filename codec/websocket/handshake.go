package websocket

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// opening is what one handshake needs while it is looked at, which is during one Feed: it is pooled.
type opening struct {
	request wsproto.Request
	upgrade Upgrade
}

var openings = sync.Pool{New: func() any { return new(opening) }}

// errRefused is the reason of a connection that ended with an HTTP response: nobody's fault, and nobody is told.
var errRefused error = answered{}

type answered struct{}

func (answered) Error() string       { return "websocket: request answered without a WebSocket" }
func (answered) Cause() engine.Cause { return engine.CauseClose }

var errTimeout = &wsproto.HandshakeError{Status: 408, Section: "RFC 9110 section 15.5.9", Text: "no request within the time for it"}

var errBusy = &wsproto.HandshakeError{Status: 503, Section: "RFC 9110 section 15.6.4", Text: "over the limit of handshakes in progress"}

// handshake takes the request and answers it. Frames that came with it stay in src.
func (c *Conn) handshake(src []byte) (n int, err error) {
	o := openings.Get().(*opening)
	defer openings.Put(o)
	n, err = wsproto.ParseRequest(src, &c.meter, &o.request, c.service.server.limits)
	if err != nil {
		return len(src), c.refuse(err)
	}
	if n == 0 {
		return 0, nil
	}
	if !o.request.IsUpgrade() {
		return len(src), c.respond(&o.request)
	}
	key, err := c.check(&o.request)
	if err != nil {
		return len(src), c.refuse(err)
	}
	return n, c.accept(o, key)
}

// check is everything that the protocol and the server's policy demand of a handshake.
func (c *Conn) check(r *wsproto.Request) (key []byte, err error) {
	if key, err = r.CheckUpgrade(); err != nil {
		return nil, err
	}
	if err = r.CheckOrigin(c.service.server.Origins); err != nil {
		return nil, err
	}
	i, err := r.Subprotocol(c.service.server.Subprotocols)
	c.subprotocol = int8(i)
	return key, err
}

// accept asks the user, then answers.
func (c *Conn) accept(o *opening, key []byte) error {
	s := c.service.server
	u := &o.upgrade
	*u = Upgrade{Request: &o.request, Conn: c, Subprotocol: c.Subprotocol(), Header: u.Header[:0]}
	if s.Upgrade != nil {
		s.Upgrade(u)
	}
	if u.status != 0 {
		return c.answer(u.status, "", u.Header, []byte(u.body), true)
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
	b, err := wsproto.AppendResponse(c.conn.AvailableBuffer(), key, u.Subprotocol, deflate, u.Header)
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
func (c *Conn) agree(r *wsproto.Request, name string) error {
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
	status, text := 500, "internal server error\n"
	var h *wsproto.HandshakeError
	if errors.As(err, &h) {
		status, text = h.Status, h.Error()+"\n"
	}
	c.answer(status, "", nil, []byte(text), true)
	return err
}

// respond answers a request that is no opening handshake.
func (c *Conn) respond(r *wsproto.Request) error {
	head := string(r.Method) == "HEAD"
	switch {
	case r.Length != 0:
		return c.answer(413, "", nil, []byte("a request with a body is not served here\n"), true)
	case !head && string(r.Method) != "GET":
		return c.answer(405, "", []wsproto.Field{{Name: "Allow", Value: "GET, HEAD"}}, []byte("want GET or HEAD\n"), true)
	case c.service.server.HTTP == nil:
		return c.answer(426, "", nil, []byte("this is a WebSocket server\n"), !head)
	}
	p := c.service.server.HTTP(r)
	if p.Status == 0 {
		p.Status = 200
	}
	return c.answer(p.Status, p.ContentType, p.Header, p.Body, !head)
}

// answer writes a response and has the engine close the connection behind it.
func (c *Conn) answer(status int, contentType string, header []wsproto.Field, body []byte, withBody bool) error {
	if contentType == "" {
		contentType = "text/plain; charset=utf-8"
	}
	b, err := wsproto.AppendHTTP(c.conn.AvailableBuffer(), status, contentType, header, body, withBody)
	if err != nil {
		b, _ = wsproto.AppendHTTP(b, 500, "text/plain", nil, nil, true)
	} else {
		err = errRefused
	}
	if _, werr := c.conn.Write(b); werr != nil && !errors.Is(werr, engine.ErrClosed) {
		return werr
	}
	return err
}
