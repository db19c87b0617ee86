package websocket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Upgrade accepts an opening handshake inside an http.Handler of any server, behind any router and
// middleware. It hands the connection to the engine, where it is like one from Accept. The handler
// should then return: neither its goroutine nor a buffer of net/http stays with the connection.
// What the client has sent after its request is kept.
//
// The rules and the policy are those of Accept. If a request breaks one, Upgrade answers by w and
// returns the reason; the handler has nothing left to do. The callback Handshake is called later,
// on the loop, when w must not be used any more; if it refuses, the connection is answered there.
// The response has the fields of w.Header(), except those that are handshake.Reserved.
//
// w must lead to the connection, by Unwrap if it is wrapped (see http.ResponseController). The
// connection must be plain TCP or a unix socket, or one of tlslayer.Layer.Listen. Otherwise the
// answer is status 501, or 505 for another version than HTTP/1.1. If the engine's Run was not
// called yet, Upgrade waits a second for that, and then the answer is 503.
func (s *Server) Upgrade(e *engine.Engine, w http.ResponseWriter, r *http.Request) error {
	head, err := s.inspect(r)
	if err != nil {
		nethttp.Refuse(w, err)
		return err
	}
	if !hasStarted(r.Context(), e) { // the connection would wait, and nobody would know why
		s.refusedHTTP(r, nil, errIdle)
		nethttp.Refuse(w, errIdle)
		return errIdle
	}
	nc, early, _, err := nethttp.Hijack(w)
	if err != nil {
		s.refusedHTTP(r, nil, err)
		nethttp.Refuse(w, err)
		return err
	}
	head = append(head, early...)
	var ac engine.AdoptConfig
	if c, ok := nc.(*httpConn); ok {
		nc, head = c.Conn, append(head, c.in.Bytes()...)
		ac.Place = c.place.Swap(nil)
	}
	u := &upgraded{request: r, header: further(w.Header())}
	err = ac.Adopt(e, nc, head, func(ec *engine.Conn) engine.Protocol {
		c := s.Accept(ec).(*protocol)
		(*Conn)(c).makeRare().upgraded = u
		return c
	})
	if err != nil {
		ac.Place.Leave()
		answer := dismiss(nc, err)
		s.refusedHTTP(r, nil, answer)
		err = fmt.Errorf("%w: %w", answer, err)
	}
	return err
}

// refusedHTTP is refused for a request that net/http has parsed; raw may be nil.
func (s *Server) refusedHTTP(r *http.Request, raw *handshake.Request, err error) {
	status, _ := nethttp.Status(err)
	if raw != nil {
		s.refused(ClientAddr(r, s.Proxies), raw, status, err)
		return
	}
	s.tellRefused(Refusal{RemoteAddr: ClientAddr(r, s.Proxies), Status: status, Reason: err,
		Target: r.RequestURI, Origin: r.Header.Get("Origin")})
}

// inspect checks what net/http has parsed, as accept does. head is the request as it must have
// come.
func (s *Server) inspect(r *http.Request) (head []byte, err error) {
	service, err := s.prepare()
	if err != nil { // a mistake of the program, which ServeHTTP cannot return
		s.refusedHTTP(r, nil, err)
		return nil, err
	}
	var raw handshake.Request
	head, err = nethttp.Parse(r, &raw, service.head)
	asks := raw.IsUpgrade() || err != nil && len(r.Header["Upgrade"]) > 0
	to := s
	if err == nil {
		err = raw.CheckHost(s.Hosts)
	}
	if err == nil && s.mux != nil && asks {
		if to = s.mux.server(raw.Path); to == nil {
			to, err = s, errNoServer
		}
	}
	if err == nil {
		_, _, err = to.judge(&raw)
	}
	if err == nil {
		err = to.checkOrigin(&raw, func() *http.Request { return r })
	}
	if err != nil && asks {
		to.refusedHTTP(r, &raw, err)
	}
	return head, err
}

// asked returns the request as package handshake reads it, if it asks for a WebSocket, and nil
// otherwise. The error is a rule that it breaks.
func (s *Server) asked(r *http.Request) (*handshake.Request, error) {
	if len(r.Header["Upgrade"]) == 0 {
		return nil, nil
	}
	raw := new(handshake.Request)
	if _, err := nethttp.Parse(r, raw, s.services[0].head); err != nil {
		return nil, err
	}
	if !raw.IsUpgrade() {
		return nil, nil
	}
	return raw, nil
}

// upgraded is what Upgrade keeps for the handshake on the loop.
type upgraded struct {
	request *http.Request
	header  http.Header // of the response
}

// further returns the fields that middleware has set for the response, without those that are the
// handshake's own.
func further(h http.Header) http.Header {
	h = h.Clone()
	maps.DeleteFunc(h, func(name string, _ []string) bool { return handshake.Reserved(name) })
	return h
}

// startPatience is how long Upgrade waits for Run, which programs call beside their HTTP server.
const startPatience = time.Second

// hasStarted reports whether the engine runs, or does so within startPatience.
func hasStarted(ctx context.Context, e *engine.Engine) bool {
	select {
	case <-e.Started():
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case <-e.Started():
		return true
	case <-ctx.Done():
		return false
	}
}

// dismissTimeout is how long dismiss waits for the peer to take its answer.
const dismissTimeout = 3 * time.Second

// dismiss answers on a connection that net/http has given up and the engine has not taken, because
// of err. It returns what it has answered.
func dismiss(nc net.Conn, err error) error {
	if errors.Is(err, engine.ErrClosed) {
		err = errEnded
	} else {
		err = nethttp.ErrHijack
	}
	status, text := nethttp.Status(err)
	b, _ := handshake.AppendHTTP(nil, status, nil, text, true)
	nc.SetDeadline(time.Now().Add(dismissTimeout))
	nc.Write(b)
	nc.Close()
	return err
}
