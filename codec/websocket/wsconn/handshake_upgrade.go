package wsconn

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Upgrade accepts an opening handshake in an http.Handler, behind any router and middleware, and
// takes the connection over from net/http. The handler may use the Conn on its own goroutine, or
// return and leave it to others. Somebody must close it. config may be nil.
//
// The response has the fields of w.Header(), except those that only the handshake itself may set. A
// request that breaks a rule or the policy of config is answered with the HTTP status that the rule
// names, and the error is a *handshake.Error. After any error the response is complete, and the
// handler should return.
//
// w must give the connection away (http.Hijacker), if it is wrapped by Unwrap (see
// http.ResponseController). Otherwise the response is 501, or 505 if the request is not HTTP/1.1.
func Upgrade(w http.ResponseWriter, r *http.Request, config *Config) (*Conn, error) {
	config = config.orDefault()
	c, err := config.upgrade(w, r)
	if err != nil {
		return nil, fmt.Errorf("wsconn: opening handshake: %w", err)
	}
	return c, nil
}

// Proxies are HTTP proxies that are trusted to tell whose request they pass on.
type Proxies = handshake.Proxies

// ClientAddr returns the address of the client that a request comes from: r.RemoteAddr, unless that
// is one of the proxies. See Proxies.ClientAddr.
func ClientAddr(r *http.Request, proxies *Proxies) netip.AddrPort {
	return nethttp.ClientAddr(r, proxies)
}

func (c *Config) upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	t, answer, err := c.judge(r, w.Header())
	if err != nil {
		nethttp.Refuse(w, err)
		return nil, err
	}
	nc, early, buf, err := nethttp.Hijack(w)
	if err != nil {
		nethttp.Refuse(w, err)
		return nil, err
	}
	nc.SetDeadline(time.Time{}) // those of http.Server
	ctx, cancel := c.opening(r.Context())
	defer cancel()
	err = converse(ctx, nc, func() error {
		_, err := nc.Write(answer)
		return err
	})
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c.open(nc, wsproto.Server, t.subprotocol, t.deflate, buf, early), nil
}

// judge checks a request. answer is the response that accepts it, with the header fields that
// middleware has set.
func (c *Config) judge(r *http.Request, header http.Header) (t terms, answer []byte, err error) {
	var request handshake.Request
	if _, err = nethttp.Parse(r, &request, &c.Limits); err != nil {
		return t, nil, err
	}
	if t, err = c.check(&request); err != nil {
		return t, nil, err
	}
	answer, err = t.answer(nethttp.Further(header))
	return t, answer, err
}
