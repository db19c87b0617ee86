package websocket

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Dial opens a connection to a URL such as ws://example.com:8080/chat?room=1, without blocking.
//
// opened is called once, on the loop of the connection. It gets the open connection, which may send
// at once, and nil; or nil and an error. The error is that of engine.Engine.Dial, or a
// *handshake.Error if the server did not accept or its response broke a rule, or the cause
// of ctx's end, which is context.DeadlineExceeded for HandshakeTimeout. ctx has no meaning once the
// connection is open. A redirect is a *handshake.Error, and is not followed. For the first bytes of
// a refusal's content Dial waits for a second at most.
//
// A user and password in the URL are sent as an Authorization field, unless Header has one.
//
// If Dial itself returns an error, opened is not called: the URL is malformed, or a field of Header
// must not be sent, or it is a URL with wss and there is no Client.TLS, or that offers HTTP/2. Any
// goroutine may call Dial.
func (cl *Client) Dial(ctx context.Context, e *engine.Engine, rawURL string, opened func(c *Conn, err error)) error {
	if opened == nil {
		return errors.New("websocket: Dial: opened is nil")
	}
	s, err := cl.prepare()
	if err != nil {
		return err
	}
	d := &dialing{client: cl, opened: opened}
	d.reply = handshake.Reply{Opening: &d.request, Limits: s.head}
	d.request.Subprotocols, d.request.Fields = cl.Subprotocols, nethttp.Fields(cl.Header)
	address, secure, err := d.request.SetURL(rawURL)
	if err != nil {
		return err
	}
	if secure && cl.TLS == nil {
		return errTLS
	}
	d.request.Host = or(cl.Host, d.request.Host)
	config := engine.DialConfig{LocalAddr: cl.LocalAddr, Timeout: s.receive.HandshakeTimeout}
	if secure {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if config.Layer = cl.TLS(host); config.Layer == nil { // it would not be encrypted
			return errNoLayer
		}
		l, ok := config.Layer.(interface{ NextProtos() []string })
		if ok && slices.Contains(l.NextProtos(), http2Protocol) {
			return errOffersHTTP2
		}
	}
	d.reply.Key = handshake.NewClientKey()
	d.offerCompression(s)
	if d.bytes, err = d.request.AppendRequest(nil, d.reply.Key); err != nil {
		d.releaseWindows()
		return err
	}
	d.cancel = func() {}
	if config.Timeout > 0 {
		ctx, d.cancel = context.WithTimeout(ctx, config.Timeout)
	} else {
		config.Timeout = math.MaxInt64
	}
	d.ctx = ctx
	network := "tcp"
	if cl.UnixSocket != "" {
		network, address = "unix", cl.UnixSocket
	}
	if err := e.Dial(ctx, network, address, config, d.connected); err != nil {
		d.cancel()
		d.releaseWindows()
		return err
	}
	return nil
}

// dialing is a client's connection until the handshake is done.
type dialing struct {
	client  *Client
	request handshake.Opening
	reply   handshake.Reply
	bytes   []byte // the request, until it is sent
	opened  func(*Conn, error)
	ctx     context.Context
	cancel  func()
	unwatch func() bool // stops watching ctx
	windows int64       // bytes of the windows that are offered, counted until it is open

	conn *engine.Conn
	late *engine.Timer // ends the wait for the content of a refusal
}

// contentTimeout is how long the content of a refusal may take to arrive.
const contentTimeout = time.Second

var (
	errTLS         = errors.New("websocket: a URL with wss needs Client.TLS")
	errNoLayer     = errors.New("websocket: Client.TLS has returned no layer for a URL with wss")
	errOffersHTTP2 = errors.New("websocket: Client.TLS offers HTTP/2, which has no WebSockets here: " +
		"leave h2 out of NextProtos")
)

// offerCompression offers what s is prepared to do. Its windows count at once: others may be dialed
// before the server has answered.
func (d *dialing) offerCompression(s *service) {
	if s.compression != nil {
		policy := s.policy()
		d.request.Deflate, d.windows = &policy, int64(policy.WindowBytes())
		s.windows.Add(d.windows)
	}
}

// releaseWindows ends counting the windows that were offered.
func (d *dialing) releaseWindows() { d.client.services[0].windows.Add(-d.windows) }

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

// Feed implements engine.Protocol: it waits for the server's response. Frames that come with it are
// left to the Conn.
func (d *dialing) Feed(src []byte) (int, error) {
	n, accepted, err := d.reply.Next(src)
	if err != nil {
		return n, err
	}
	if accepted == nil {
		if d.reply.Refused() && d.late == nil {
			d.late = d.conn.AfterFunc(contentTimeout, func() { d.conn.CloseWith(d.reply.End(nil)) })
		}
		return n, nil
	}
	if !d.unwatch() {
		return 0, context.Cause(d.ctx)
	}
	d.cancel()
	service := d.client.services.of(accepted.Subprotocol)
	c := &Conn{conn: d.conn, service: service, flags: isClient, remote: remoteOf(d.conn.RemoteAddr())}
	d.conn.SetProtocol((*protocol)(c))
	c.open(accepted.Deflate)
	d.releaseWindows()
	d.opened(c, nil)
	return n, nil
}

// Closed implements engine.Protocol: the handshake has failed.
func (d *dialing) Closed(err error) {
	if !d.unwatch() {
		err = context.Cause(d.ctx)
	}
	d.failed(&wrapError{"websocket: opening handshake with " + d.request.Host, d.reply.End(err)})
}

func (d *dialing) failed(err error) {
	d.cancel()
	d.releaseWindows()
	d.opened(nil, err)
}
