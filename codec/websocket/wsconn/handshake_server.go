package wsconn

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Server waits for an opening handshake on an existing connection, such as one that a net.Listener
// accepted, and answers it. config may be nil. ctx limits the opening handshake only, and has no
// effect on the open connection.
//
// A request that breaks a rule or the policy of config is answered with the HTTP status that the
// rule names, and the error is a *handshake.Error. Server closes nc if it returns an error.
func Server(ctx context.Context, nc net.Conn, config *Config) (*Conn, error) {
	config = config.orDefault()
	ctx, cancel := config.opening(ctx)
	defer cancel()
	var w *Conn
	err := converse(ctx, nc, func() (err error) {
		if w, err = config.serve(nc); err != nil {
			refuse(nc, err)
		}
		return err
	})
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("wsconn: opening handshake: %w", err)
	}
	return w, nil
}

// serve receives a request and accepts it.
func (c *Config) serve(nc net.Conn) (*Conn, error) {
	var r handshake.Request
	var scanned uint32
	in, n, err := receiveHead(nc, func(b []byte) (int, error) {
		return handshake.ParseRequest(b, &scanned, &r, &c.Limits)
	})
	if err != nil {
		return nil, err
	}
	t, err := c.check(&r)
	if err != nil {
		return nil, err
	}
	answer, err := t.answer(nil)
	if err != nil {
		return nil, err
	}
	if _, err := nc.Write(answer); err != nil {
		return nil, err
	}
	return c.open(nc, wsproto.Server, t.subprotocol, t.deflate, in[:cap(in)], in[n:]), nil
}

// refuse answers a request that broke a rule, and waits for the client to close the connection, so
// that the answer arrives.
func refuse(nc net.Conn, err error) {
	var h *handshake.Error
	if errors.As(err, &h) {
		b, _ := handshake.AppendHTTP(nil, h.Status, nil, h.Error()+"\n", true)
		nc.Write(b)
		closeWrite(nc)
		discard(nc, b)
	}
}

// terms are what a server and a client agree on.
type terms struct {
	key         []byte
	subprotocol string
	deflate     *wsproto.Deflate
}

// answer returns the response that accepts the terms.
func (t terms) answer(further []handshake.Field) ([]byte, error) {
	return handshake.AppendResponse(nil, t.key, t.subprotocol, t.deflate, further)
}

// check checks a request by the rules of the protocol and the policy of c, and returns what is
// agreed on.
func (c *Config) check(r *handshake.Request) (t terms, err error) {
	if t.key, err = r.CheckUpgrade(); err != nil {
		return t, err
	}
	if err = r.CheckHost(c.Hosts); err != nil {
		return t, err
	}
	if err = r.CheckOrigin(c.Origins); err != nil {
		return t, err
	}
	i, err := r.Subprotocol(c.Subprotocols)
	if i >= 0 {
		t.subprotocol = c.Subprotocols[i]
	}
	if policy := c.policy(); policy != nil {
		if d, ok := r.Deflate(*policy); ok {
			t.deflate = &d
		}
	}
	return t, err
}
