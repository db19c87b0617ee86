package wsgnet

import (
	"errors"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

var (
	errNoUpgrade = &handshake.Error{Status: 426, Section: "RFC 6455 section 4.2.1", Text: "this is a WebSocket server"}
	errTimeout   = &handshake.Error{Status: 408, Section: "RFC 9110 section 15.5.9",
		Text: "no request within the time for it"}
)

// handshake takes the request and answers it. It returns how many bytes it has consumed.
func (c *Conn) handshake(src []byte) int {
	var r handshake.Request
	n, err := handshake.ParseRequest(src, &c.scanned, &r, &c.server.protocol.Limits)
	if err == nil && n == 0 {
		return 0
	}
	if err == nil {
		err = c.accept(&r)
	}
	if err != nil {
		c.refuse(err, string(r.Method) != "HEAD")
	}
	return n
}

// accept checks the request, and answers it.
func (c *Conn) accept(r *handshake.Request) error {
	s := c.server
	if !r.IsUpgrade() {
		return errNoUpgrade
	}
	key, err := r.CheckUpgrade()
	if err != nil {
		return err
	}
	if err := r.CheckHost(s.Hosts); err != nil {
		return err
	}
	if err := r.CheckOrigin(s.Origins); err != nil {
		return err
	}
	i, err := r.Subprotocol(s.Subprotocols)
	if err != nil {
		return err
	}
	if i >= 0 {
		c.subprotocol = s.Subprotocols[i]
	}
	var agreed *wsproto.Deflate
	if s.Compression != nil {
		if d, ok := r.Deflate(s.Compression.Policy(int(s.windows.Load()))); ok {
			agreed = &d
		}
	}
	if s.Handshake != nil {
		if err := s.Handshake(c, r); err != nil {
			return err
		}
		if c.state != opening { // it has closed the connection
			return nil
		}
	}
	b, err := handshake.AppendResponse(*c.out, key, c.subprotocol, agreed, nil)
	if err != nil {
		return err
	}
	*c.out = b
	c.open(agreed)
	return nil
}

func (c *Conn) open(agreed *wsproto.Deflate) {
	s := c.server
	c.receiver = wsproto.NewReceiver(&s.protocol, agreed)
	c.sender = wsproto.NewSender(&s.protocol, agreed)
	c.turns, c.share = s.turnsOf(c.loop), minShare
	if agreed != nil {
		c.deflates = true
		c.windows = agreed.WindowBytes()
		s.windows.Add(int64(c.windows))
	}
	c.state, c.opened = open, true
	c.startTimer(c.period())
	if s.Open != nil {
		s.Open(c)
	}
}

// refuse answers a request with the status of err.
func (c *Conn) refuse(err error, withText bool) {
	status, text := 500, "the server could not decide\n"
	var h *handshake.Error
	if errors.As(err, &h) {
		status, text = h.Status, h.Text+"\n"
	}
	b, err := handshake.AppendHTTP(nil, status, nil, text, withText)
	if err == nil {
		c.append(func(dst []byte) []byte { return append(dst, b...) })
	}
	c.end(nil)
}
