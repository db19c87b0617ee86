package websocket

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Dial opens a connection to a URL such as ws://example.com:8080/chat?room=1, without blocking.
//
// opened is called once, on the loop that the connection is for: with the open connection, which may send at once, and nil; or
// with nil and the error. That is what engine.Engine.Dial says, an *handshake.Error if the server did not accept or its
// answer broke a rule, or the cause of ctx's end, which is context.DeadlineExceeded for HandshakeTimeout; for the connection
// ctx has no meaning afterwards. A redirection is such an error, too, and never followed: see there.
//
// An error of Dial itself, for a URL that is not one or something in Header that must not be sent, means that opened is not called.
// wss is not spoken here: there is no TLS on the loops yet. Dial may be called from any goroutine.
func (cl *Client) Dial(ctx context.Context, e *engine.Engine, rawURL string, opened func(c *Conn, err error)) error {
	s, err := cl.prepare()
	if err != nil {
		return err
	}
	d := &dialing{client: cl, opened: opened, request: handshake.Opening{Subprotocols: cl.Subprotocols, Fields: nethttp.Fields(cl.Header)}}
	address, secure, err := d.request.SetURL(rawURL)
	if err != nil {
		return err
	}
	if secure {
		return errTLS
	}
	if s.compression != nil {
		policy := s.policy()
		d.request.Deflate = &policy
	}
	d.key = handshake.NewClientKey()
	if d.bytes, err = d.request.AppendRequest(nil, d.key); err != nil {
		return err
	}
	config := engine.DialConfig{LocalAddr: cl.LocalAddr, Timeout: s.receive.HandshakeTimeout}
	d.cancel = func() {}
	if config.Timeout > 0 {
		ctx, d.cancel = context.WithTimeout(ctx, config.Timeout)
	} else {
		config.Timeout = math.MaxInt64
	}
	d.ctx = ctx
	if err := e.Dial(ctx, "tcp", address, config, d.connected); err != nil {
		d.cancel()
		return err
	}
	return nil
}

// dialing is a client's connection until its handshake is done.
type dialing struct {
	client  *Client
	request handshake.Opening
	key     handshake.ClientKey
	bytes   []byte // the request, until it is sent
	opened  func(*Conn, error)
	ctx     context.Context
	cancel  func()
	unwatch func() bool // stops watching ctx

	conn    *engine.Conn
	scanned uint32
}

var errTLS = errors.New("websocket: wss is not spoken on the loops: there is no TLS there")

// connected is engine.Dial's done.
func (d *dialing) connected(c *engine.Conn, err error) engine.Protocol {
	if err != nil {
		d.failed(err)
		return nil
	}
	d.conn = c
	h := c.Handle()
	d.unwatch = context.AfterFunc(d.ctx, func() {
		h.Post(func(c *engine.Conn) {
			if c.Protocol() == d {
				c.Abort()
			}
		})
	})
	c.Write(d.bytes)
	d.bytes = nil
	return d
}

// Feed implements engine.Protocol: it waits for the server's answer. Frames that come with it are the WebSocket's.
func (d *dialing) Feed(src []byte) (int, error) {
	var r handshake.Response
	n, err := handshake.ParseResponse(src, &d.scanned, &r, d.client.services[0].head)
	if n == 0 || err != nil {
		return 0, err
	}
	accepted, err := d.request.Check(&r, d.key)
	if err != nil {
		return 0, err
	}
	if !d.unwatch() {
		return 0, context.Cause(d.ctx)
	}
	d.cancel()
	c := &Conn{conn: d.conn, service: d.client.services.of(accepted.Subprotocol), flags: isClient, remote: remoteOf(d.conn.RemoteAddr())}
	d.conn.SetProtocol((*protocol)(c))
	c.open(accepted.Deflate)
	d.opened(c, nil)
	return n, nil
}

// Closed implements engine.Protocol: the handshake has failed.
func (d *dialing) Closed(err error) {
	if !d.unwatch() {
		err = context.Cause(d.ctx)
	}
	d.failed(fmt.Errorf("websocket: opening handshake with %s: %w", d.request.Host, err))
}

func (d *dialing) failed(err error) {
	d.cancel()
	d.opened(nil, err)
}
