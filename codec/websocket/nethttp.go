package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

var (
	errHijack  = &wsproto.HandshakeError{Status: 501, Section: "RFC 6455 section 4.2", Text: "the connection cannot be taken over"}
	errLineEnd = &wsproto.HandshakeError{Status: 400, Section: "RFC 9110 section 5.5", Text: "line end in the request"}
	errEnded   = &wsproto.HandshakeError{Status: 503, Section: "RFC 9110 section 15.6.4", Text: "the server is shutting down"}
)

// Take accepts an opening handshake inside an http.Handler of any server, behind any router and middleware, and takes the
// connection over to the engine, as one that Accept was called for. The handler should return then: nothing of net/http stays
// with the connection, neither goroutine nor buffer. What the client has sent behind its request is kept.
//
// The rules and the policy are those of Accept. A request that breaks one is answered by w; the error says why, and the handler
// has nothing left to do. The Server's Upgrade is called later, on the loop, when w is not to be used any more; what it refuses
// is answered there. The response has the fields of w.Header(), too, but for those that are wsproto.Reserved.
//
// w must lead to the connection, by Unwrap if it is wrapped (http.ResponseController), and that must be plain TCP or a unix
// socket: otherwise the answer is 501, or 505 if it is not HTTP/1.1.
func (s *Server) Take(e *engine.Engine, w http.ResponseWriter, r *http.Request) error {
	s.prepare()
	var request wsproto.Request
	head, err := s.parse(r, &request)
	if err == nil {
		_, _, err = s.check(&request)
	}
	if err == nil && r.TLS != nil {
		err = fmt.Errorf("websocket: a TLS connection: %w", errHijack)
	}
	if err != nil {
		refuse(w, err)
		return err
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		err = fmt.Errorf("websocket: %w: %w", errHijack, err)
		refuse(w, err)
		return err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	head = append(head, early...)
	if c, ok := nc.(*httpConn); ok {
		nc, head = c.Conn, append(head, c.in.Bytes()...)
	}
	t := &taken{request: r, header: further(w.Header())}
	err = e.Adopt(nc, head, func(ec *engine.Conn) engine.Protocol {
		c := s.Accept(ec).(*Conn)
		c.rarely().taken = t
		return c
	})
	if err != nil {
		dismiss(nc, err)
	}
	return err
}

// taken is what goes with a connection of Take's.
type taken struct {
	request *http.Request
	header  []wsproto.Field
}

// parse has ParseRequest judge what net/http has parsed: the head is written once more, as it must have come. request is valid
// as long as head is.
func (s *Server) parse(r *http.Request, request *wsproto.Request) (head []byte, err error) {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	head = fmt.Appendf(nil, "%s %s HTTP/%d.%d\r\nHost: %s\r\n", r.Method, target, r.ProtoMajor, r.ProtoMinor, r.Host)
	lines := 3
	for name, values := range r.Header {
		for _, v := range values {
			head = append(append(append(append(head, name...), ": "...), v...), "\r\n"...)
			lines++
		}
	}
	if len(r.TransferEncoding) > 0 {
		head = append(head, "Transfer-Encoding: chunked\r\n"...)
		lines++
	}
	head = append(head, "\r\n"...)
	if bytes.Count(head, []byte("\n")) != lines { // by middleware; net/http lets none through
		return nil, errLineEnd
	}
	var scanned uint32
	_, err = wsproto.ParseRequest(head, &scanned, request, s.limits)
	return head, err
}

// further are the fields that middleware has set for the response.
func further(h http.Header) (fields []wsproto.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if wsproto.Reserved(name) {
			continue
		}
		for _, v := range h[name] {
			fields = append(fields, wsproto.Field{Name: name, Value: v})
		}
	}
	return fields
}

// refuse answers by way of net/http, which closes the connection then: what the client has sent behind a handshake is no
// request.
func refuse(w http.ResponseWriter, err error) {
	status, text := statusOf(err)
	h := w.Header()
	h.Set("Connection", "close")
	if status == http.StatusUpgradeRequired {
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

// dismiss answers on a connection that net/http has given up and the engine did not take.
func dismiss(nc net.Conn, err error) {
	if errors.Is(err, engine.ErrClosed) {
		err = errEnded
	} else {
		err = errHijack
	}
	status, text := statusOf(err)
	b, _ := wsproto.AppendHTTP(nil, status, nil, text, true)
	nc.SetDeadline(time.Now().Add(DefaultCloseTimeout))
	nc.Write(b)
	nc.Close()
}
