package websocket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Client opens connections on an engine's loops, as many as one likes, and is what they have in common: callbacks and limits.
// The zero value works, and drops every message. A Client must not be changed once it is in use, and may be used with several
// engines and by any goroutine. The callbacks are called as a Server's are.
type Client struct {
	// Message gets every message, whole. Text is valid UTF-8. Optional.
	Message func(c *Conn, op Opcode, data []byte)
	// Piece, if it is set, gets large messages piece by piece: see Server.Piece. Optional.
	Piece func(c *Conn, op Opcode, data []byte, last bool)
	// Ping and Pong get the payload of control frames. A ping is answered before Ping is called. Optional.
	Ping, Pong func(c *Conn, data []byte)
	// Drained is called when a server has caught up: see Conn.Send. Optional.
	Drained func(*Conn)
	// Close is called once for each connection that was opened, and is the last call: see Server.Close. Optional.
	Close func(c *Conn, err error)

	// Subprotocols are what the client speaks, best first. The server chooses one, or none: Conn.Subprotocol.
	Subprotocols []string
	// Header is for further fields of the request: Origin, Cookie, Authorization.
	Header []handshake.Field
	// LocalAddr is what to bind to. Default: the kernel chooses; so it does for port 0.
	LocalAddr netip.AddrPort

	// MaxMessage, MaxWhole, MaxFrame, MaxFragments and ControlRate are as a Server's.
	MaxMessage, MaxWhole, MaxFrame, MaxFragments, ControlRate int
	// HandshakeTimeout is the time from Dial to the end of the server's response. Default: 10 s; negative: no limit but that of
	// Dial's context.
	HandshakeTimeout time.Duration
	// IdleTimeout, PongTimeout, ProgressTimeout and CloseTimeout are as a Server's. The latter also bounds how long the server
	// may take to close the connection after the closing handshake, as it has to (RFC 6455 section 7.1.1).
	IdleTimeout, PongTimeout, ProgressTimeout, CloseTimeout time.Duration

	// Compression has permessage-deflate offered. nil: it is not, see Compression why.
	Compression *Compression

	once    sync.Once
	service service
}

// prepare derives what connections share, once.
func (cl *Client) prepare() *service {
	cl.once.Do(func() {
		v := &cl.service
		v.message, v.piece, v.ping, v.pong, v.close, v.drained = cl.Message, cl.Piece, cl.Ping, cl.Pong, cl.Close, cl.Drained
		v.subprotocols = cl.Subprotocols
		v.idleTimeout, v.pongTimeout, v.closeTimeout, v.progressTimeout = cl.IdleTimeout, cl.PongTimeout, cl.CloseTimeout, cl.ProgressTimeout
		v.compression, v.controlRate, v.session.MaxFragments, v.session.MaxFrame = cl.Compression, cl.ControlRate, cl.MaxFragments, cl.MaxFrame
		v.session.MaxWhole = cl.MaxWhole
		v.prepare(wsproto.Client, cl.MaxMessage)
	})
	return &cl.service
}

// Dial opens a connection to a URL such as ws://example.com:8080/chat?room=1, without blocking.
//
// opened is called once, on the loop that the connection is for: with the open connection, which may send at once, and nil; or
// with nil and the error. That is what engine.Engine.Dial says, a *handshake.ResponseError if the server did not accept or its
// answer broke a rule, or the cause of ctx's end, which is context.DeadlineExceeded for HandshakeTimeout; for the connection
// ctx has no meaning afterwards. A redirection is such an error, too, and never followed: see there.
//
// An error of Dial itself, for a URL that is not one or something in Header that must not be sent, means that opened is not called.
// wss is not spoken here: there is no TLS on the loops yet. Dial may be called from any goroutine.
func (cl *Client) Dial(ctx context.Context, e *engine.Engine, rawURL string, opened func(c *Conn, err error)) error {
	s := cl.prepare()
	d := &dialing{client: s, opened: opened, request: handshake.Opening{Subprotocols: cl.Subprotocols, Fields: cl.Header}}
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
	config := engine.DialConfig{LocalAddr: cl.LocalAddr, Timeout: or(cl.HandshakeTimeout, DefaultHandshakeTimeout)}
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
	client  *service
	request handshake.Opening
	key     handshake.ClientKey
	bytes   []byte // the request, until it is sent
	opened  func(*Conn, error)
	ctx     context.Context
	cancel  func()
	watch   func() bool // stops watching ctx

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
	d.watch = context.AfterFunc(d.ctx, func() {
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
	n, err := handshake.ParseResponse(src, &d.scanned, &r, handshake.HeadLimits{})
	if n == 0 || err != nil {
		return 0, err
	}
	accepted, err := d.request.Check(&r, d.key)
	if err != nil {
		return 0, err
	}
	if !d.watch() {
		return 0, context.Cause(d.ctx)
	}
	d.cancel()
	c := &Conn{conn: d.conn, service: d.client, subprotocol: -1, flags: isClient}
	for i, p := range d.request.Subprotocols {
		if p == accepted.Subprotocol {
			c.subprotocol = int8(i)
		}
	}
	d.conn.SetProtocol(c)
	c.open(accepted.Deflate)
	d.opened(c, nil)
	return n, nil
}

// Closed implements engine.Protocol: the handshake has failed.
func (d *dialing) Closed(err error) {
	if !d.watch() {
		err = context.Cause(d.ctx)
	}
	d.failed(fmt.Errorf("websocket: opening handshake with %s: %w", d.request.Host, err))
}

func (d *dialing) failed(err error) {
	d.cancel()
	d.opened(nil, err)
}
