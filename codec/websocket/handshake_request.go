package websocket

import (
	"context"
	"net/http"
	"net/url"
)

// Request returns the client's request as net/http would: with a decoded URL.Path, cookies,
// canonical header names, and TLS with the client's certificates. It is made when it is first asked
// for, and may be kept, but TLS takes some KiB: drop that. Its body is empty. Its context ends with
// the connection. Its RemoteAddr is that of the peer, also behind an HTTP proxy: see
// Conn.RemoteAddr and ClientAddr.
//
// For a connection of Upgrade it is a copy of the request that Upgrade was given, with what routers
// and middleware have added to it: PathValue, and the values of its context.
//
// Decide by URL.Path, not by Raw.Path: "/%61dmin" is "/admin". URL.Path may have elements such as
// ".." or "//", because nothing redirects a WebSocket: compare it with whole paths, or clean it
// (path.Clean) before you compare it with a prefix. A path that cannot be decoded is refused with
// status 400.
func (h *Handshake) Request() *http.Request {
	if h.request == nil {
		h.request = h.makeRequest()
	}
	return h.request
}

func (h *Handshake) makeRequest() *http.Request {
	raw := h.Raw
	if raw == nil {
		panic("websocket: Handshake.Request after the callback Handshake has returned")
	}
	target := string(raw.Target)
	u, err := url.ParseRequestURI(target)
	if err != nil { // a bad escape: the rest of the target is checked already
		h.Refuse(http.StatusBadRequest, "malformed escape in the request target (RFC 3986 section 2.1)\n")
		u = &url.URL{Opaque: target}
	}
	r := &http.Request{
		Method:     string(raw.Method),
		URL:        u,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header),
		Body:       http.NoBody,
		Host:       string(raw.Host),
		RemoteAddr: h.Conn.conn.RemoteAddr().String(),
		RequestURI: target,
		TLS:        h.Conn.tlsState(),
	}
	for name, value := range raw.Fields() {
		r.Header.Add(string(name), string(value))
	}
	delete(r.Header, "Host") // as in net/http: it is a field of its own
	return r.WithContext(h.Conn.Context())
}

// ofConn returns a copy of what Upgrade was given. The context of that request may end when its
// handler returns.
func ofConn(r *http.Request, c *Conn) *http.Request {
	return r.WithContext(&connContext{Context: context.WithoutCancel(r.Context()), c: c})
}
