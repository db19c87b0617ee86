package wsconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Dial opens a connection to a URL such as wss://example.com/chat?room=1. config may be nil. ctx
// limits the opening handshake only, and has no effect on the open connection.
//
// The error is an *handshake.Error if the server refused, or its response broke a rule.
// Redirections are not followed: they are such an error, with the new location. Dial waits for the
// first bytes of a refusal's content, for a second at most. A user and password in the URL are sent
// as an Authorization field, unless config.Header has one.
func Dial(ctx context.Context, url string, config *Config) (*Conn, error) {
	config = config.orDefault()
	ctx, cancel := config.opening(ctx)
	defer cancel()
	o := config.request()
	address, secure, err := o.SetURL(url)
	if err != nil {
		return nil, err
	}
	if secure && config.TLS != nil && slices.Contains(config.TLS.NextProtos, "h2") {
		return nil, errOffersHTTP2
	}
	dial := config.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("wsconn: %w", err)
	}
	if secure {
		secured := tls.Client(nc, config.tls(address))
		if err := secured.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("wsconn: TLS handshake with %s: %w", o.Host, err)
		}
		nc = secured
	}
	return config.client(ctx, nc, o)
}

// Client is like Dial, but uses an existing connection: one through a proxy, one in memory, or one
// with TLS set up by the caller. It closes nc if it returns an error.
func Client(ctx context.Context, nc net.Conn, url string, config *Config) (*Conn, error) {
	config = config.orDefault()
	ctx, cancel := config.opening(ctx)
	defer cancel()
	o := config.request()
	if _, _, err := o.SetURL(url); err != nil {
		nc.Close()
		return nil, err
	}
	return config.client(ctx, nc, o)
}

// request returns what a client asks for, without what depends on the URL, and compression.
func (c *Config) request() *handshake.Opening {
	return &handshake.Opening{Subprotocols: c.Subprotocols, Fields: nethttp.Fields(c.Header)}
}

var errOffersHTTP2 = errors.New("wsconn: Config.TLS offers HTTP/2, which has no WebSockets here: " +
	"leave h2 out of NextProtos")

// tls returns the TLS configuration for a server at this address.
func (c *Config) tls(address string) *tls.Config {
	t := c.TLS.Clone()
	if t == nil {
		t = new(tls.Config)
	}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(address)
	}
	if t.NextProtos == nil {
		t.NextProtos = []string{"http/1.1"}
	}
	return t
}

// client does a client's opening handshake.
func (c *Config) client(ctx context.Context, nc net.Conn, o *handshake.Opening) (*Conn, error) {
	o.Host = cmp.Or(c.Host, o.Host)
	if o.Deflate = c.policy(); o.Deflate != nil {
		// They count at once: others may be dialed before the server has answered.
		n := int64(o.Deflate.WindowBytes())
		c.windows.Add(n)
		defer c.windows.Add(-n)
	}
	key := handshake.NewClientKey()
	request, err := o.AppendRequest(nil, key)
	var w *Conn
	if err == nil {
		err = converse(ctx, nc, func() (err error) {
			w, err = c.ask(nc, o, key, request)
			return err
		})
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("wsconn: opening handshake with %s: %w", o.Host, err)
	}
	return w, nil
}

// ask sends the request and waits for the response.
func (c *Config) ask(nc net.Conn, o *handshake.Opening, key handshake.ClientKey, request []byte) (*Conn, error) {
	if _, err := nc.Write(request); err != nil {
		return nil, err
	}
	reply := handshake.Reply{Opening: o, Key: key, Limits: &c.Limits}
	var accepted *handshake.Accepted
	n, refused := 0, false
	in, _, err := receiveHead(nc, func(b []byte) (int, error) {
		k, a, err := reply.Next(b[n:])
		if n += k; a != nil {
			accepted = a
			return n, err
		}
		if reply.Refused() && !refused {
			refused = true
			nc.SetReadDeadline(time.Now().Add(contentTimeout))
		}
		return 0, err
	})
	if err != nil {
		return nil, reply.End(err)
	}
	return c.open(nc, wsproto.Client, accepted.Subprotocol, accepted.Deflate, in[:cap(in)], in[n:]), nil
}

// contentTimeout is how long the content of a refusal may take to arrive.
const contentTimeout = time.Second

// receiveHead receives until parse returns the length n of the head, or an error.
func receiveHead(nc net.Conn, parse func([]byte) (n int, err error)) (in []byte, n int, err error) {
	for in = make([]byte, 0, smallBuffer); ; {
		k, err := nc.Read(in[len(in):cap(in)])
		in = in[:len(in)+k]
		if n, broken := parse(in); n > 0 || broken != nil {
			return in, n, broken
		}
		if err != nil {
			return nil, 0, fmt.Errorf("connection lost: %w", err)
		}
		if len(in) == cap(in) {
			in = append(in, make([]byte, cap(in))...)[:len(in)]
		}
	}
}

// converse calls f, whose reads from nc and writes to it fail as soon as ctx ends.
func converse(ctx context.Context, nc net.Conn, f func() error) error {
	i := interrupter{nc: nc, setDeadline: net.Conn.SetDeadline}
	if err := i.follow(ctx); err != nil {
		return err
	}
	defer i.release()
	err := f()
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
